# SPDX-License-Identifier: GPL-2.0-or-later
"""The document's schema, as an editor uses it: the examples follow it, its defaults are detour's."""

import copy
import json

import jsonschema
import pytest

from lab import REPO, document

SCHEMA = json.loads((REPO / "schemas/document.schema.json").read_text())
EXAMPLES = sorted((REPO / "examples").glob("*.json"))


def optional(definition, *path):
    """(path, schema) of each property that may be left out and means something."""
    properties = definition["properties"]
    for name, schema in properties.items():
        if "properties" in schema:
            yield from optional(schema, *path, name)
        elif name not in definition["required"] and name != "description":
            yield (*path, name), schema


ANY_CLIENT = ("clients", "networks")  # written out it is one look-up more, of the same meaning
FIELDS = [
    pytest.param(kind + "s", path, schema, id=".".join([kind, *path]))
    for kind in ("gateway", "redirect")
    for path, schema in optional(SCHEMA["$defs"][kind])
    if path != ANY_CLIENT
]


def with_value(kind, path, value):
    wanted = copy.deepcopy(document())
    place = wanted[kind][0]
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return wanted


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_follow_the_schema(path):
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(path.read_text()))


def test_an_example_shows_editors_where_the_schema_is():
    named = [json.loads(path.read_text()).get("$schema") for path in EXAMPLES]
    assert (REPO / "examples" / next(filter(None, named))).samefile(
        REPO / "schemas/document.schema.json"
    )


@pytest.mark.parametrize("kind, path, schema", FIELDS)
def test_a_default_is_what_leaving_it_out_means(strict_lab, kind, path, schema):
    lab = strict_lab
    lab.apply(document())
    result = lab.detour("drift", with_value(kind, path, schema["default"]))
    assert result.exit == 0, repr(result)


@pytest.mark.parametrize("kind, path, schema", FIELDS)
def test_any_other_word_means_something_else(strict_lab, kind, path, schema):
    """Else the test above would prove nothing."""
    lab = strict_lab
    lab.apply(document())
    words = schema.get("enum", [True, False] if schema.get("type") == "boolean" else [])
    for word in words:
        if word != schema["default"]:
            assert lab.detour("drift", with_value(kind, path, word)).exit in (1, 2), word


def test_the_default_of_the_clients_is_any_address(lab, family):
    networks = SCHEMA["$defs"]["redirect"]["properties"]["clients"]["properties"]["networks"]
    lab.apply(with_value("redirects", ANY_CLIENT, networks["default"]))
    assert lab.connect("client", family.server, 3389) == "gateway"
    assert lab.connect("client", family.server, 3389, source=family.other_client) == "gateway"
