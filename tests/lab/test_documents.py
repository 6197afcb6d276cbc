# SPDX-License-Identifier: GPL-2.0-or-later
"""The corpus: what JSON Schema and `detour validate` say of each document.

good: both accept. bad: both refuse. clash: only detour can see what is wrong.
NAME.expect holds the faults of NAME.json as validate prints them, less the file's name.
"""

import json
import os
import pathlib
import subprocess

import jsonschema
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DETOUR = os.environ.get("DETOUR", str(ROOT / "build" / "detour"))
SCHEMA = json.loads((ROOT / "schemas" / "document.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def corpus(*folders):
    paths = [path for folder in folders for path in (ROOT / "tests/documents" / folder).glob("*.json")]
    return pytest.mark.parametrize("path", sorted(paths), ids=lambda path: f"{path.parent.name}/{path.stem}")


def validate(path, *options):
    return subprocess.run([DETOUR, *options, "validate", str(path)], capture_output=True, text=True, timeout=60)


def schema_accepts(path):
    try:
        document = json.loads(path.read_bytes().decode())
    except ValueError:
        return False
    return VALIDATOR.is_valid(document)


def expected_faults(path):
    """(pointer, message) of each line; a message alone is about the whole document."""
    lines = path.with_suffix(".expect").read_text().splitlines()
    return [tuple(line.split(": ", 1)) if line.startswith("/") else ("", line) for line in lines]


def test_the_corpus_is_there():
    counts = {folder: len(list((ROOT / "tests/documents" / folder).glob("*.json"))) for folder in ("good", "bad", "clash")}
    assert counts["good"] >= 15 and counts["bad"] >= 60 and counts["clash"] >= 30


@corpus("good")
def test_good_documents_are_accepted_by_schema_and_detour(path):
    assert schema_accepts(path)
    done = validate(path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


@corpus("bad")
def test_bad_documents_are_refused_by_the_schema(path):
    assert not schema_accepts(path)


@corpus("clash")
def test_clashes_are_beyond_the_schema(path):
    assert schema_accepts(path)


@corpus("bad", "clash")
def test_every_fault_is_printed_with_its_place(path):
    done = validate(path)
    assert done.returncode == 1
    assert done.stdout == ""
    lines = [f"{path}: {line}" for line in path.with_suffix(".expect").read_text().splitlines()]
    assert done.stderr.splitlines() == lines


@corpus("bad", "clash")
def test_every_fault_is_in_the_json_report(path):
    done = validate(path, "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["exit"]) == (1, 1)
    assert [(error["pointer"], error["message"]) for error in report["errors"]] == expected_faults(path)


def properties_of(schema, place="#"):
    """Every property in the schema, with its place."""
    if isinstance(schema, list):
        for index, item in enumerate(schema):
            yield from properties_of(item, f"{place}/{index}")
    elif isinstance(schema, dict):
        for key, value in schema.items():
            if key == "properties":
                yield from ((f"{place}/{key}/{name}", sub) for name, sub in value.items())
            if key not in ("default", "examples", "const", "enum"):
                yield from properties_of(value, f"{place}/{key}")


def test_the_schema_is_valid_and_explains_every_property():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    found = list(properties_of(SCHEMA))
    assert len(found) > 20
    for place, schema in found:
        assert {"title", "description", "default", "examples"} <= schema.keys(), place


def test_the_examples_and_defaults_of_the_schema_follow_it():
    for place, schema in properties_of(SCHEMA):
        # A reference inside an example's schema is resolved against the whole.
        rule = {**schema, "$defs": SCHEMA["$defs"]}
        for value in [schema["default"], *schema["examples"]]:
            jsonschema.Draft202012Validator(rule).validate(value)
    for example in [SCHEMA["default"], *SCHEMA["examples"]]:
        VALIDATOR.validate(example)
