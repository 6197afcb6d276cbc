# SPDX-License-Identifier: GPL-2.0-or-later
"""What the pages show is what happens: their commands are run, their outputs compared."""

import json
import re
import subprocess

import jsonschema
import pytest
import yaml

import pages
from fleet import PAGE as FLEET_PAGE
from lab import DETOUR, REPO

PAGES = [REPO / "README.md", *sorted((REPO / "docs").glob("*.md"))]
SCHEMA = json.loads((REPO / "schemas/document.schema.json").read_text())
JSON_BLOCK = re.compile(r"^```json\n(.*?)^```$", re.M | re.S)
YAML_BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\]\(([^)\s]+)\)")

by_name = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)


def labs():
    for path in filter(lambda path: path != FLEET_PAGE, PAGES):
        found = pages.labs(path.relative_to(REPO), path.read_text())
        for number, steps in enumerate(found, 1):
            yield pytest.param(steps, id=f"{path.stem}-{number}")


@pytest.mark.parametrize("steps", labs())
def test_what_a_page_shows_happens(strict_lab, steps):
    faults = pages.carry_out(strict_lab, steps)
    assert not faults, "\n\n".join(["", *faults])


def console(*lines):
    return "\n".join(["```console", *lines, "```"])


@pytest.mark.parametrize(
    "text",
    [
        console("# echo one", "two"),
        console("# printf 'one\\ntwo\\n'", "one"),
        console("# echo one", "one", "two"),
        console("# false"),
        console("# echo one two", "one ... two"),
        console("# exit 0"),
        "<!-- lab: echo one; false -->",
    ],
)
def test_what_does_not_happen_is_noticed(lab, text):
    """Else the test above would prove nothing."""
    faults = [
        fault for steps in pages.labs("page", text) for fault in pages.carry_out(lab, steps)
    ]
    assert len(faults) == 1, faults


@pytest.mark.parametrize(
    "text",
    [
        "```\n# date\n```",
        "```bash\n# date\n```",
        "```text\n# date\n```",
        "```json\n{}\n```",
        "- ```console\n# date\n```",
        console("date"),
        "<!-- date -->",
    ],
)
def test_no_block_is_passed_over(text):
    with pytest.raises(pages.PageError):
        pages.labs("page", text)


def test_the_commands_of_the_salt_state_do_what_salt_expects(strict_lab):
    page = (REPO / "docs/configuration-management.md").read_text()
    state = yaml.safe_load(YAML_BLOCK.search(page)[1])
    file, run = (
        {key: value for item in state[name][function] for key, value in item.items()}
        for name, function in (("detour_document", "file.managed"), ("detour_apply", "cmd.run"))
    )
    commands = [
        f"{file['check_cmd']} examples/rdp.json",
        f"install -D examples/rdp.json {file['name']}",
        f"! {run['unless']}",
        run["name"],
        run["unless"],
    ]
    steps = [pages.Step("salt", command, is_shown=False) for command in commands]
    assert pages.carry_out(strict_lab, steps) == []


@by_name
def test_documents_follow_the_schema(page):
    for text in JSON_BLOCK.findall(page.read_text()):
        jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(text))


@by_name
def test_links_lead_somewhere(page):
    for target in LINK.findall(page.read_text()):
        if not target.startswith("https://"):
            path, _, heading = target.partition("#")
            file = (page.parent / path) if path else page
            assert file.exists(), target
            assert not heading or heading in anchors(file), target


def anchors(page):
    """As code forges make them of headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


def test_each_page_is_in_the_index():
    index = LINK.findall((REPO / "docs/README.md").read_text())
    assert {page.name for page in PAGES[1:]} - {"README.md"} <= set(index)


def test_the_shell_of_the_lab_is_on_its_router():
    commands = "ask 10.1.0.5 3389\non gateway ip -brief address show eth0\ndetour --version\n"
    words = ["/usr/bin/python3", str(REPO / "tests/lab/lab.py"), "shell"]
    done = subprocess.run(words, input=commands, capture_output=True, text=True, timeout=60)
    assert "answered by: server" in done.stdout, done
    assert "10.2.0.10" in done.stdout and text_of("--version") in done.stdout


def text_of(*words):
    return subprocess.run([DETOUR, *words], capture_output=True, text=True, check=True).stdout


def test_each_verb_and_option_is_in_the_manual_and_the_help():
    source = lambda name: (REPO / "cmd" / name).read_text()
    verbs = re.findall(r'^\t\{ "(\w+)", verb_', source("main.c"), re.M)
    options = re.findall(r'^\t\{ "([a-z-]+)", \w+_argument', source("options.c"), re.M)
    assert verbs and options
    manual = (REPO / "docs/man/detour.8").read_text()
    synopsis = manual[manual.index(".Sh SYNOPSIS") : manual.index(".Sh DESCRIPTION")]
    readme, general = (REPO / "README.md").read_text(), text_of("--help")
    specific = {verb: text_of(verb, "--help") for verb in verbs}
    for verb in verbs:
        assert re.search(rf"^\| .*`{verb}`.* \|", readme, re.M), verb
        assert re.search(rf"^  {verb} ", general, re.M), verb
        assert re.search(rf"^\.Cm .*\b{verb}\b", synopsis, re.M), verb
        assert f".It Cm {verb}\n" in manual, verb
        assert specific[verb].startswith("Usage: detour"), verb
    for option in options:
        assert re.search(rf"^\.It .*(Fl |, )-{option}\b", manual, re.M), option
        assert f"--{option}" in "".join([general, *specific.values()]), option
