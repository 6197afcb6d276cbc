# SPDX-License-Identifier: GPL-2.0-or-later
"""Completion in bash and zsh: what the program takes is offered, and no name is executed."""

import functools
import json
import os
import pathlib
import re
import shlex
import subprocess

import pytest

from lab import DETOUR_PLAIN, REPO, document, redirect

HERE = pathlib.Path(__file__).parent
HOSTILE = "a$(touch pwned)`touch pwned`;touch pwned;b c"
VALUES = {"color": "auto", "confirm": "1", "lock-timeout": "1", "prometheus": "/x.prom"}
VERBS = re.findall(r'^\t\{ "(\w+)", verb_', (REPO / "cmd/main.c").read_text(), re.M)
OPTIONS = re.findall(
    r'^\t\{ "([\w-]+)", (no|required)_argument', (REPO / "cmd/options.c").read_text(), re.M
)


@pytest.fixture(params=["bash", "zsh"])
def offers(request, lab, tmp_path):
    """A function: what the shell offers at the end of a line or at a ^, unquoted, each once."""
    words = {
        "bash": ["bash", "--norc", HERE / "offers.bash"],
        "zsh": ["zsh", "-f", HERE / "offers.zsh", "/run/offers"],
    }[request.param]
    own = {
        "HOME": str(tmp_path),
        "PATH": f"{pathlib.Path(DETOUR_PLAIN).parent}:{os.environ['PATH']}",
        "LC_ALL": "C.UTF-8",
        "TERM": "xterm",
    }
    with lab.inside("router"):
        shell = subprocess.Popen(
            ["timeout", "60", *words],
            env=os.environ | own,
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(line):
        print(line, file=shell.stdin, flush=True)
        lines = []
        while (answer := shell.stdout.readline()) != ".\n":
            assert answer, "the shell has ended"
            lines.append(answer)
        return sorted({text for line in lines for text in shlex.split(line)})

    with shell:
        yield ask
        shell.stdin.close()
        assert shell.wait() == 0


@functools.cache
def belongs(verb, option, argument):
    """The program itself says what does not. The namespace keeps it from doing anything."""
    words = ["--netns", "none-of-that-name", verb, f"--{option}"]
    if argument == "required":
        words.append(VALUES.get(option, "x"))
    done = subprocess.run([DETOUR_PLAIN, *words], capture_output=True, text=True, timeout=60)
    return "does not belong" not in done.stdout + done.stderr


def test_every_verb_is_offered(offers):
    assert offers("detour ") == sorted(VERBS)
    assert offers("detour --json --netns x ap") == ["apply"]


def test_every_option_is_offered_for_the_verbs_that_it_belongs_to(offers):
    expected = {
        verb: sorted(f"--{name}" for name, argument in OPTIONS if belongs(verb, name, argument))
        for verb in VERBS
    }
    assert {verb: offers(f"detour {verb} --") for verb in VERBS} == expected


def test_what_stands_before_changes_no_offer(offers):
    assert offers("detour -q sh") == ["show"]
    assert offers("detour -q --color=never show --sv") == ["--svg"]
    assert offers("detour show -q --color=never --sv") == ["--svg"]


def test_values_are_offered(offers, lab):
    services = ["3389/tcp", "5900-5910/tcp", "53/udp"]
    lab.save(document(None, redirect(services=services)))
    assert offers("detour --color ") == ["always", "auto", "never"]
    assert offers("detour plan --color=a") == ["always", "auto"]
    assert offers("detour trace --service ") == ["3389/tcp", "53/udp", "5900/tcp"]
    assert offers("detour trace --in eth") == ["eth0", "eth1", "eth2"]
    assert offers(f"detour --netns {lab.prefix}-r") == [lab.netns("router")]
    assert offers("detour apply --confirm ") == []


def several(*names):
    return document(None, [redirect(name=name, services=["1/tcp"]) for name in names])


def test_names_and_services_are_those_of_the_document_that_is_meant(offers, lab, tmp_path):
    lab.save(several("rdp", "scb", "r-1_x"))
    (tmp_path / "my$.json").write_text(json.dumps(several("mine"), indent=2))
    (tmp_path / "x.json").write_text(json.dumps(several("other")).replace(":", "\n:\t\r\n"))
    own = pathlib.Path("/etc/netns/own/detour")
    own.mkdir(parents=True)
    (own / "detour.json").write_text(json.dumps(several("own")))
    assert offers("detour show --only ") == ["r-1_x", "rdp", "scb"]
    assert offers("detour show --only=r") == ["r-1_x", "rdp"]
    assert offers("detour show x.json --only ") == ["other", "scb"]
    assert offers("detour show my\\$.json --only m") == ["mine"]
    assert offers("detour show 'my$.json' --only m") == ["mine"]
    assert offers("detour show ~/x.json --only o") == ["other"]
    assert offers("detour show --only ^ x.json") == ["other", "scb"]
    assert offers("detour ^ x.json") == sorted(VERBS)
    assert offers(f"detour show {tmp_path}/x.json --watch --only o") == ["other"]
    assert offers("detour --netns own show --only o") == ["own"]
    assert offers("detour show --netns=own --only o") == ["own"]
    assert offers("detour --netns other show --only o") == []
    assert offers("detour --netns own show x.json --only o") == ["other"]
    assert offers("detour show none.json --only ") == []
    assert offers("detour show - --only ") == []
    assert offers("detour trace x.json --service ") == ["1/tcp"]


def test_only_names_that_a_document_may_have_are_offered(offers, lab, tmp_path):
    names = ["a b", "A", "1a", "a" * 32, "-rf", "$(id)", "é", "a\nb", 'a"b', "", "\0", "b" * 31]
    saved = several(*names)
    saved["gateways"][0] |= {"name": HOSTILE, "description": 'x", "name": "said"'}
    lab.save(saved)
    assert offers("detour show --only ") == ["b" * 31]
    (tmp_path / "x.json").write_bytes(b'\0\xff{"name": "bytes"}, "name": "cut')
    assert offers("detour show x.json --only ") == ["bytes"]
    os.mkfifo(tmp_path / "pipe")
    assert offers("detour show pipe --only ") == []
    assert offers("detour show $(touch${IFS}pwned) --only ") == []
    assert offers("detour show `touch${IFS}pwned` --only ") == []
    assert not (tmp_path / "pwned").exists()


def test_one_file_is_offered_where_the_verb_takes_one(offers, tmp_path):
    (tmp_path / "mine.json").touch()
    assert offers("detour validate mi") == ["mine.json"]
    assert offers("detour plan --out mi") == ["mine.json"]
    assert offers("detour validate x.json mi") == []
    assert offers("detour destroy mi") == []


def test_hostile_names_are_data(offers, lab, tmp_path):
    lab.save(document(None, redirect(name=HOSTILE, services=["$(touch pwned)/tcp", "1/tcp"])))
    pathlib.Path("/run/netns", HOSTILE).touch()
    lab.ip("router", "link add e$(id>pwned) type veth peer name other")
    assert offers("detour --netns a") == [HOSTILE]
    assert offers("detour trace --in e") == ["e$(id>pwned)", "eth0", "eth1", "eth2"]
    assert offers("detour trace --service ") == ["1/tcp"]
    assert not (tmp_path / "pwned").exists()
