# SPDX-License-Identifier: GPL-2.0-or-later
"""The Ansible role installs the package, the document and the units, by Debian's Ansible.

On the files of this machine, where Ansible is, below a file system in memory that takes all writes.
"""

import json
import re
import shutil

import pytest

import lab as laboratory
from lab import REPO, document
from router import Router

UNITS = ["detour.service", "detour-drift.timer"]
ENVIRONMENT = [
    "env",
    "HOME=/root",
    "ANSIBLE_COLLECTIONS_PATH=/opt",
    "SYSTEMD_OFFLINE=1",
]


@pytest.fixture
def machine(package):
    with laboratory.Lab(strict=True) as lab, Router(lab, "/") as made:
        shutil.copy("/usr/bin/systemctl", made.path("/usr/bin/systemctl"))
        collection = made.path("/opt/ansible_collections/detour/detour")
        shutil.copytree(REPO / "integrations/ansible", collection)
        made.write("/opt/detour.deb").write_bytes(package.read_bytes())
        variables = {
            "detour_package": "/opt/detour.deb",
            "detour_units": UNITS,
            "detour_document": document(),
        }
        play = {"hosts": "localhost", "gather_facts": False, "roles": ["detour.detour.router"]}
        made.write("/opt/site.yml", json.dumps([play | {"vars": variables}]))
        yield made


def play(machine, *words):
    """How many tasks changed something."""
    said = machine.run(*ENVIRONMENT, "ansible-playbook", "/opt/site.yml", *words)
    return int(re.search(r"changed=(\d+) ", said)[1])


def test_the_role_installs_the_package_the_document_and_the_units(machine):
    assert play(machine, "--check") > 0
    assert machine.attempt("dpkg-query", "-s", "detour").returncode != 0
    assert play(machine) == 4
    assert "Status: install ok installed" in machine.run("dpkg-query", "-s", "detour")
    assert machine.detour("drift").exit == 0
    units = [*UNITS, "detour-watch.service"]
    enabled = machine.attempt(*ENVIRONMENT, "systemctl", "is-enabled", *units)
    assert enabled.stdout.split() == ["enabled", "enabled", "disabled"]
    assert play(machine) == 0
