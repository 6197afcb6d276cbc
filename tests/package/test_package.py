# SPDX-License-Identifier: GPL-2.0-or-later
"""The Debian package: what comes, stays and goes with it, and what becomes of a live redirect."""

import gzip
import json
import re
import subprocess

import pytest
from lab import document, gateway

CLIENT, SERVER, PORT = "client", "10.1.0.5", 3389
CONFFILE = "/etc/iproute2/rt_protos.d/detour.conf"
DOCUMENT = "/etc/detour/detour.json"
NAMES = "/etc/iproute2/rt_tables.d/detour.conf"
UNITS = "detour.service detour-networkd.service detour-watch.service detour-drift.timer".split()
SHIPPED = """
/usr/sbin/detour
/usr/share/man/man8/detour.8.gz
/usr/share/man/man5/detour.json.5.gz
/usr/share/bash-completion/completions/detour
/usr/share/zsh/vendor-completions/_detour
/usr/share/detour/schemas/document.schema.json
/usr/share/detour/schemas/report.schema.json
/usr/share/doc/detour/README.md
/usr/share/doc/detour/docs/performance.md
/usr/share/doc/detour/changelog.gz
/usr/share/doc/detour/copyright
/usr/share/doc/detour/examples/rdp.json
/usr/share/doc/detour/examples/systemd/networkd.conf
/usr/share/doc/detour/examples/systemd/sysctl.conf
""".split()


def field(package, name):
    return subprocess.check_output(["dpkg-deb", "-f", package, name], text=True).strip()


def go_live(router):
    """The redirect that the router's document describes, as an administrator brings it up."""
    router.write(DOCUMENT, json.dumps(document(gateway(rp_filter="off"))))
    assert router.detour("apply").exit == 0


def kernel(router):
    """All of the kernel's state that the package must leave alone."""
    state = router.lab.snapshot()
    del state["files"]  # of the lab, not of the chroot
    return state


def who_answers(router):
    return router.lab.connect(CLIENT, SERVER, PORT)


@pytest.fixture(params=[False, True], ids=["quiet", "live"])
def is_live(request):
    return request.param


@pytest.fixture
def installed(router, package, is_live):
    router.install(package)
    if is_live:
        go_live(router)
    assert who_answers(router) == ("gateway" if is_live else "server")
    return router


# -- What is in it -------------------------------------------------------------------------------


def test_lintian_finds_nothing_to_warn_of(package):
    changes = next(package.parent.glob("*.changes"))
    words = ["lintian", "--allow-root", "--fail-on", "error,warning", changes]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_comes_whole_and_changes_nothing(router, package):
    before = kernel(router)
    router.install(package)
    assert [name for name in SHIPPED if not router.path(name).exists()] == []
    assert router.path(CONFFILE).read_text().split()[-2:] == ["103", "detour"]
    assert list(router.path("/etc/detour").iterdir()) == []
    assert not router.path("/var/lib/detour").exists()
    assert router.run("detour", "--version") == f"detour {field(package, 'Version')}\n"
    assert kernel(router) == before


def test_its_units_are_there_and_disabled(router, package):
    router.install(package)
    assert all(router.path(f"/lib/systemd/system/{unit}").exists() for unit in UNITS)
    assert links_of_systemd(router) == set()
    assert router.asked_of_systemd() == ["--system daemon-reload"]


def test_its_examples_are_valid(router, package):
    router.install(package)
    examples = sorted(router.path("/usr/share/doc/detour/examples").glob("*.json"))
    assert examples
    for path in examples:
        router.run("detour", "validate", "/" + str(path.relative_to(router.root)))


def test_its_changelog_is_that_of_the_project(router, package):
    router.install(package)
    text = gzip.decompress(router.path("/usr/share/doc/detour/changelog.gz").read_bytes()).decode()
    assert text.startswith(f"detour ({field(package, 'Version')}) ")
    assert text.count("\n  * ") > 10


def test_each_page_of_the_manual_is_one_that_man_finds(router, package):
    router.install(package)
    for name in (name for name in SHIPPED if "/man/" in name):
        page = gzip.decompress(router.path(name).read_bytes()).decode()
        title, section = re.search(r"^\.Dt (\S+) (\d)", page, re.M).groups()
        assert name.endswith(f"/man{section}/{title.lower()}.{section}.gz")


# -- Upgrades ------------------------------------------------------------------------------------


def test_an_upgrade_interrupts_nothing(installed, is_live, next_package):
    before = kernel(installed), installed.files()
    connection = installed.lab.open(CLIENT, SERVER, PORT)
    installed.install(next_package)
    assert installed.run("dpkg-query", "-f", "${Version}", "-W", "detour").endswith("+next")
    assert (kernel(installed), installed.files()) == before
    assert connection.ask() == ("gateway" if is_live else "server")
    if is_live:
        assert installed.detour("drift").exit == 0


def test_an_upgrade_keeps_what_the_administrator_changed(installed, next_package):
    installed.write(CONFFILE, "103\tdetour # ours\n")
    installed.write(DOCUMENT, "{}")
    installed.install(next_package)
    assert installed.path(CONFFILE).read_text() == "103\tdetour # ours\n"
    assert installed.path(DOCUMENT).read_text() == "{}"


def test_an_upgrade_restarts_only_what_stays_and_only_if_it_runs(router, package, next_package):
    router.install(package)
    router.asked_of_systemd()
    router.install(next_package)
    asked = [line for line in router.asked_of_systemd() if "daemon-reload" not in line]
    assert asked == ["try-restart detour-drift.timer detour-watch.service"]


def test_an_upgrade_waits_for_a_pending_change(router, package, next_package):
    """Its journal is one that another version does not read."""
    router.install(package)
    assert router.detour("apply", document(), "--confirm", "60").exit == 0
    before = kernel(router)
    with pytest.raises(AssertionError, match="a change is pending in this network namespace"):
        router.install(next_package)
    assert router.run("dpkg-query", "-f", "${Version}", "-W", "detour") == field(package, "Version")
    assert router.run("dpkg-query", "-f", "${db:Status-Status}", "-W", "detour") == "installed"
    assert kernel(router) == before
    assert router.detour("confirm").exit == 0
    router.install(next_package)
    assert kernel(router) == before


def test_a_unit_stays_enabled_until_a_purge(router, package, next_package):
    router.install(package)
    link = router.path("/etc/systemd/system/multi-user.target.wants/detour-watch.service")
    link.parent.mkdir(parents=True)
    link.symlink_to("/lib/systemd/system/detour-watch.service")
    links = links_of_systemd(router)
    router.install(next_package)
    assert links_of_systemd(router) == links != set()
    router.dpkg("--purge", "detour")
    assert links_of_systemd(router) == set()


def links_of_systemd(router):
    return {name for name in router.files() if name.startswith("/etc/systemd/")}


# -- Going ---------------------------------------------------------------------------------------


def test_removal_keeps_configuration_and_the_redirect(installed, is_live):
    before = kernel(installed)
    said = installed.dpkg("--remove", "detour")
    assert kernel(installed) == before
    assert who_answers(installed) == ("gateway" if is_live else "server")
    assert not installed.path("/usr/sbin/detour").exists()
    assert installed.path(CONFFILE).exists()
    assert installed.path(DOCUMENT).exists() == is_live
    assert installed.path("/var/lib/detour/confirmed.json").exists() == is_live
    assert ("what is live in this network namespace stays" in said) == is_live
    assert ("nft_table inet detour" in said) == is_live
    assert ("detour destroy" in said) == is_live


def test_removal_ends_the_watcher_and_takes_back_nothing(installed):
    installed.asked_of_systemd()
    installed.dpkg("--remove", "detour")
    stops = [line.split() for line in installed.asked_of_systemd() if "stop" in line]
    assert [set(UNITS) <= set(words) for words in stops] == [True]


def test_purge_removes_every_file_and_not_the_redirect(router, package, is_live):
    files = router.files()
    router.install(package)
    if is_live:
        go_live(router)
    before = kernel(router)
    said = router.dpkg("--purge", "detour")
    assert router.files() == files
    assert kernel(router) == before
    assert ("stays until the next boot" in said) == is_live
    assert who_answers(router) == ("gateway" if is_live else "server")


@pytest.mark.parametrize("is_live", [True], ids=["live"])
def test_what_purge_says_to_do_removes_all_but_rp_filter(installed):
    said = installed.dpkg("--purge", "detour")
    commands = re.findall(r"^    ((?:nft|ip) .*)$", said, re.M)
    assert len(commands) == 5
    for command in commands:
        installed.lab.tool("router", command)
    assert who_answers(installed) == "server"
    assert "detour" not in str(kernel(installed)) and "103" not in str(kernel(installed)["rules"])


@pytest.mark.parametrize("is_live", [True], ids=["live"])
def test_after_a_purge_a_new_installation_can_take_all_back(installed, package, router):
    installed.dpkg("--purge", "detour")
    installed.install(package)
    assert installed.detour("destroy").exit == 0
    assert installed.lab.rp_filters()["all"] == 1
    assert who_answers(installed) == "server"
    assert "live in" not in installed.dpkg("--purge", "detour")


def test_purge_keeps_other_files_of_the_administrator(router, package):
    router.install(package)
    router.write("/etc/detour/old.json", "{}")
    router.write(NAMES, "103\tscb\n")
    router.dpkg("--purge", "detour")
    assert router.path("/etc/detour/old.json").exists()
    assert not router.path(NAMES).exists()


def test_redirects_of_named_namespaces_are_told_by_name(router, package):
    router.install(package)
    go_live(router)
    target = router.path("/run/netns")
    target.mkdir()
    (target / "branch $(reboot) office").touch()
    (target / "empty").touch()
    for host, name in (("router", "branch $(reboot) office"), ("client", "empty")):
        netns = f"/run/netns/{router.lab.netns(host)}"
        router.lab.tool("router", ["mount", "--bind", netns, str(target / name)])
    said = router.dpkg("--purge", "detour")
    assert "what is live in network namespace branch $(reboot) office stays" in said
    assert "what was live in network namespace branch $(reboot) office\n" in said
    assert "namespace empty" not in said  # it has but the names that all share
    assert "reboot" not in str(router.asked_of_systemd())


def test_removal_says_when_it_cannot_look(router, package):
    router.install(package)
    go_live(router)
    before = kernel(router)
    wrapper = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"]
    said = router.dpkg("--remove", "detour", wrapper=wrapper)
    assert "it is not known what is live in this network namespace" in said
    assert kernel(router) == before
