# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run of the program does to the outside, as strace tells it: proof from outside."""

import re
import tempfile

WRITES = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND")
CHANGES = re.compile(
    r"^(rename|unlink|mkdir|rmdir|symlink|link|chmod|fchmod|chown|fchown|truncate|ftruncate"
    r"|mknod|utime|setxattr|mount|umount)"
)
READING = re.compile(r"GET|NLMSG_DONE|NLMSG_NOOP|NFNL_MSG_BATCH")
CALLS = "sendto,sendmsg,sendmmsg,write,writev,execve,fork,vfork,%file,openat,ftruncate,fchmod"


class Trace:
    """sent: types of netlink messages; written: paths opened for writing, and changing calls."""

    def __init__(self, lines):
        self.sent, self.written, self.executed = [], [], []
        for line in lines:
            name = line.split("(", 1)[0]
            if name.startswith("send"):
                self.sent += re.findall(r"nlmsg_type=([^,}]+)", line) or [line.strip()]
            elif name in ("open", "openat", "creat") and WRITES.search(line):
                self.written.append(line.strip())
            elif CHANGES.match(name) and not line.rstrip().endswith(")") and " = 0" in line:
                self.written.append(line.strip())
            elif name in ("execve", "fork", "vfork"):
                self.executed.append(line.strip())

    def changing(self):
        """Messages that are not plain reads."""
        return [kind for kind in self.sent if not READING.search(kind)]

    def files_written(self):
        """A lock file is opened for writing but not written: it does not count."""
        harmless = re.compile(r'"/dev/(null|tty)"|"/run/detour/[^"]*lock"')
        return [line for line in self.written if not harmless.search(line)]


def traced(lab, verb, document, *args):
    """Runs detour under strace: (result, trace)."""
    with tempfile.NamedTemporaryFile("r", dir="/run") as log:
        # A sanitized build cannot look for leaks under ptrace.
        wrapper = ["env", "ASAN_OPTIONS=detect_leaks=0"]
        wrapper += ["strace", "-f", "-qq", "-s", "0", "-v", "-e", f"trace={CALLS}", "-o", log.name]
        result = lab.detour(verb, document, *args, wrapper=wrapper)
        lines = [re.sub(r"^\d+ +", "", line) for line in log]
    return result, Trace(lines)
