# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab's router with files of its own: a minimal Debian, in which the package comes and goes.

The files are those of tests/package/root.sh, below a file system in memory that takes all writes.
There is no systemd: a systemctl that notes its arguments stands for it.
"""

import os
import pathlib
import subprocess

from lab import run

PLACE = pathlib.Path("/run/package")  # of this process alone: see enter_private_files()
SYSTEMCTL = "#!/bin/sh\necho $* >>/run/systemctl.log\n"
PURGE_LEAVES = ("/var/lib/dpkg", "/var/log", "/run")


class Router:
    def __init__(self, lab, root):
        self.lab, self.lower = lab, root
        self.root = PLACE / "root"

    def __enter__(self):
        PLACE.mkdir()
        run(["mount", "-t", "tmpfs", "none", str(PLACE)])
        for name in ("root", "upper", "work"):
            (PLACE / name).mkdir()
        layers = f"lowerdir={self.lower},upperdir={PLACE}/upper,workdir={PLACE}/work"
        run(["mount", "-t", "overlay", "none", "-o", layers, str(self.root)])
        run(["mount", "-t", "proc", "none", str(self.root / "proc")])
        run(["mount", "--rbind", "/dev", str(self.root / "dev")])
        self.write("/usr/bin/systemctl", SYSTEMCTL).chmod(0o755)
        self.write("/run/systemd/system/.keep")
        return self

    def __exit__(self, *_):
        run(["umount", "--recursive", "--lazy", str(PLACE)])
        PLACE.rmdir()

    # Files

    def path(self, name):
        return self.root / name.lstrip("/")

    def write(self, name, text=""):
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def files(self):
        """What a package can leave behind."""
        found = set()
        for top, directories, names in os.walk(PLACE / "upper"):
            name = "/" + os.path.relpath(top, PLACE / "upper")
            if name in PURGE_LEAVES:
                directories.clear()
                continue
            found |= {os.path.join(name, entry) for entry in names}
        return found

    # Programs

    def run(self, *words, stdin=None, wrapper=()):
        """What a program in the chroot printed, standard error included. It must not fail."""
        done = self.attempt(*words, stdin=stdin, wrapper=wrapper)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def attempt(self, *words, stdin=None, wrapper=()):
        with self.lab.inside("router"):
            return subprocess.run(
                [*wrapper, "chroot", str(self.root), *words],
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
                input=stdin or "",
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=60,
            )

    def dpkg(self, *words, **options):
        return self.run("dpkg", "--force-unsafe-io", *words, **options)

    def install(self, package):
        self.write("/package.deb").write_bytes(package.read_bytes())
        said = self.dpkg("-i", "/package.deb")
        self.path("/package.deb").unlink()
        return said

    def detour(self, verb, *words, **options):
        return self.lab.detour(
            verb, *words, wrapper=["chroot", str(self.root)], program="/usr/sbin/detour", **options
        )

    def asked_of_systemd(self):
        """Since the last time."""
        log = self.path("/run/systemctl.log")
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines


def bumped(package, directory):
    """A copy of the package whose version is higher."""
    run(["dpkg-deb", "--raw-extract", str(package), str(directory / "tree")])
    control = directory / "tree/DEBIAN/control"
    lines = control.read_text().splitlines()
    lines = [line + "+next" if line.startswith("Version:") else line for line in lines]
    control.write_text("\n".join(lines) + "\n")
    made = directory / "next.deb"
    run(["dpkg-deb", "--root-owner-group", "--build", str(directory / "tree"), str(made)])
    return made
