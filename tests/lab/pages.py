# SPDX-License-Identifier: GPL-2.0-or-later
"""The pages of docs/, carried out in a lab as an operator would.

Every fenced block of a page is of one of these kinds:

    console   "# COMMAND" is typed on the router, in a directory with the examples; it goes on in
              the next line after a backslash. All other lines are what is printed. "..." stands
              for anything on its line, alone for any lines. A command without output succeeds,
              unless the next one is "echo $?".
    text      a drawing, without commands
    json, ... a file, in the place of a former one: the line above ends with its name: `/etc/x`:

and comments, which readers do not see, tell what happens meanwhile:

    <!-- lab -->            a router, new, and nothing of what stands above was done on it
    <!-- lab: COMMAND -->   is run on the router, and succeeds
"""

import difflib
import re
import shlex
import subprocess
from dataclasses import dataclass, field

from lab import REPO

FILES = {"cron", "ini", "json", "puppet", "sh", "sudoers", "yaml"}
FENCE = re.compile(r"```(\w*)$")
COMMENT = re.compile(r"<!-- lab(?:: (.*))? -->$")
NAME_ABOVE = re.compile(r"`([^`]+)`:$")
END_OF_STEP = "--- end of step, exit code "

# $0 and what a page writes elsewhere are gone with its shell, and so is all that it left running.
WORDS = ["unshare", "--mount", "--pid", "--kill-child", "--mount-proc", "bash", "-c"]
PROLOGUE = """
for path in /etc /srv /usr/sbin /var/cache; do
    mkdir -p "$0$path/upper" "$0$path/work"
    mount -t overlay -o "lowerdir=$path,upperdir=$0$path/upper,workdir=$0$path/work" overlay "$path"
done
ln -sf "$(command -v detour)" /usr/sbin/detour
cp systemd/* /etc/systemd/system/
export HOME="$0/home"
mkdir "$HOME"
cp -r examples "$HOME"
cd || exit
"""


class PageError(Exception):
    """The page cannot be read; says where."""


@dataclass
class Step:
    place: str  # FILE:LINE
    command: str
    printed: list = field(default_factory=list)
    is_shown: bool = True  # else it happens meanwhile: what it prints does not matter
    may_fail: bool = False

    def difference(self, exit_code, output):
        """Between what the page says and what happened, or nothing."""
        page, real = without_end(self.printed), without_end(output.splitlines())
        must_succeed = not self.is_shown or not page
        if must_succeed and exit_code != 0 and not self.may_fail:
            return f"{self.place}: exit code {exit_code}: {self.command}\n{output}"
        if not self.is_shown or re.fullmatch(pattern(page), "".join(f"{line}\n" for line in real)):
            return ""
        diff = difflib.unified_diff(page, real, "page", "router", n=99, lineterm="")
        return "\n".join([f"{self.place}: {self.command}", *diff])


def without_end(lines):
    """Lines without spaces at their ends, and without empty ones at the end."""
    return "\n".join(line.rstrip() for line in lines).rstrip("\n").splitlines()


def pattern(lines):
    any_lines, anything = r"(?:.*\n)*", re.escape("...")
    return "".join(
        any_lines if line == "..." else re.escape(line).replace(anything, ".*") + r"\n"
        for line in lines
    )


def labs(name, text):
    """The steps of a page, one list for each router that they are carried out on."""
    found, lines = [[]], text.splitlines()
    number = 0
    while number < len(lines):
        line, place = lines[number], f"{name}:{number + 1}"
        comment, fence = COMMENT.match(line), FENCE.match(line)
        number += 1
        if comment and comment[1] is None:
            found.append([])
        elif comment:
            found[-1].append(Step(place, comment[1], is_shown=False))
        elif fence:
            end = lines.index("```", number)
            above = next((text for text in reversed(lines[: number - 1]) if text), "")
            found[-1] += block_steps(fence[1], place, above, lines[number:end])
            number = end + 1
        elif "```" in line or "<!--" in line:
            raise PageError(f"{place}: neither a block nor a comment of a known kind: {line}")
    return [steps for steps in found if steps]


def block_steps(language, place, above, body):
    name = NAME_ABOVE.search(above)
    if language == "console":
        return list(console_steps(place, body))
    if language == "text" and not any(line.startswith(("# ", "$ ")) for line in body):
        return []
    if language in FILES and name:
        return [file_step(place, name[1], body)]
    raise PageError(f"{place}: no block of a known kind: {language}")


def console_steps(place, body):
    page, number = place.rsplit(":", 1)
    step = None
    for offset, line in enumerate(body, int(number) + 1):
        if step and step.command.endswith("\\"):
            step.command += "\n" + line
        elif line.startswith("# "):
            if step:
                step.may_fail = line == "# echo $?"
                yield step
            step = Step(f"{page}:{offset}", line[2:])
        elif step:
            step.printed.append(line)
        else:
            raise PageError(f"{page}:{offset}: printed before the first command: {line}")
    if step:
        yield step


def file_step(place, name, body):
    path, text = shlex.quote(name), "\n".join(body)
    command = f"mkdir -p $(dirname {path})\ncat >{path} <<'END OF FILE'\n{text}\nEND OF FILE"
    return Step(place, command, is_shown=False)


def carry_out(lab, steps, seconds=99):
    """What did not happen as the page says, in so many seconds."""
    environment = lab.environment() | {"LC_ALL": "C.UTF-8", "NO_COLOR": "1"}
    environment["PATH"] += f":{REPO}/build"  # where tools.sh puts what is missing
    environment.pop("COLUMNS", None)
    with lab.inside("router"):
        process = subprocess.run(
            ["timeout", str(seconds), *WORDS, script(steps), f"/run/pages/{lab.prefix}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=REPO,
            env=environment,
        )
    ends = re.split(rf"\n{END_OF_STEP}(\d+)\n", process.stdout)
    outcomes = list(zip(map(int, ends[1::2]), ends[0::2]))
    faults = [step.difference(*outcome) for step, outcome in zip(steps, outcomes)]
    if len(outcomes) < len(steps):
        faults.append(f"{steps[len(outcomes)].place}: ended the shell: {ends[-1]}")
    return [fault for fault in faults if fault]


def script(steps):
    """One shell for all of them; each may ask for the exit code of the one before."""
    tell = f"code=$?; printf '\\n{END_OF_STEP}%d\\n' $code; (exit $code)\n"
    return PROLOGUE + "".join(f"{{ {step.command}\n}}\n{tell}" for step in steps)
