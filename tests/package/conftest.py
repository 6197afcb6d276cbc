# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures: every test gets a lab of tests/lab, whose router is a minimal Debian in a chroot."""

import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "lab"))
import lab as laboratory  # noqa: E402
from router import Router, bumped  # noqa: E402

laboratory.enter_private_files()


@pytest.fixture(scope="session")
def package():
    """The path of what make deb built."""
    return pathlib.Path(os.environ["PACKAGE"])


@pytest.fixture(scope="session")
def next_package(package, tmp_path_factory):
    """The same with a higher version."""
    return bumped(package, tmp_path_factory.mktemp("next"))


@pytest.fixture
def router(package):
    with laboratory.Lab(strict=True) as lab, Router(lab, os.environ["PACKAGE_ROOT"]) as made:
        yield made
