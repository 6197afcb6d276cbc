# SPDX-License-Identifier: GPL-2.0-or-later
"""The systemd units: what they run, and inside which walls."""

import shlex

from lab import REPO

UNITS = REPO / "systemd"
PROGRAM = "/usr/sbin/detour"

# What ProtectSystem=strict, ProtectKernelTunables=yes and the rest come to. $paths may be written.
WALLS = """
set -e
mkdir -p /run/detour /var/lib/detour
for path in /proc/sys $paths; do mount --bind "$path" "$path"; done
cut -d ' ' -f 5 /proc/self/mountinfo | while read -r place; do
    case " $paths /proc /sys /dev " in *" $place "*) continue ;; esac
    case $place in /proc/sys) ;; /proc/* | /sys/* | /dev/*) continue ;; esac
    mount -o remount,bind,ro "$place"
done
exec setpriv --bounding-set "-all,+$capability" --inh-caps -all --no-new-privs "$0" "$@"
"""


def settings(unit):
    """The values of each setting, in the order of the file."""
    found = {}
    for line in (UNITS / unit).read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, value = line.split("=", 1)
            found.setdefault(name, []).append(value)
    return found


def commands(unit):
    """The arguments of each call of detour."""
    found = settings(unit)
    lines = [shlex.split(line) for key in ("ExecStart", "ExecReload") for line in found.get(key, [])]
    return [words[1:] for words in lines if words[0] == PROGRAM]


def writable(unit):
    found = settings(unit)
    paths = [path.lstrip("-") for line in found.get("ReadWritePaths", []) for path in line.split()]
    paths += ["/var/lib/" + name for name in found.get("StateDirectory", [])]
    return paths + ["/run/" + name for name in found.get("RuntimeDirectory", [])]


def walls(unit):
    """Words that run a command as the unit does: with its capability, and its view of files."""
    capability = settings(unit)["CapabilityBoundingSet"][0].removeprefix("CAP_").lower()
    variables = f"paths='{' '.join(writable(unit))}' capability={capability}"
    return ["unshare", "--mount", "sh", "-c", variables + WALLS]
