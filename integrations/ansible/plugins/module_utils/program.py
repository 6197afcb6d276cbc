# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs detour on the router, and says what its reports mean."""

import json

# What an exit code tells of the router, see detour(8). 0 and 2 are no failures.
MEANINGS = {
    1: "nothing was changed",
    3: "nothing was changed",
    4: "nothing was changed",
    5: "it was rolled back, the live state is as before",
    6: "the live state is unknown: look at it, and run this again",
    64: "nothing was changed",
    75: "refused for now, nothing was changed",
}
GOOD = (0, 2)


class Detour:
    def __init__(self, module):
        self.module = module
        self.program = module.get_bin_path("detour", required=not module.check_mode)

    def run(self, *words, document=None):
        """The report of a verb, whatever became of it. document: goes to standard input."""
        try:
            _code, out, why = self.module.run_command(
                [self.program, "--json", *words],
                data=document,
                expand_user_and_vars=False,  # a reason is text
                handle_exceptions=False,
            )
            return json.loads(out)
        except OSError as error:
            why = error
        except ValueError:
            pass
        self.module.fail_json(
            msg=f"detour {words[0]} ended without a report, so what it did is not known: {why}"
        )

    def need(self, *words, document=None):
        """Likewise, but what failed ends the module."""
        report = self.run(*words, document=document)
        if report["exit"] not in GOOD:
            self.fail(report)
        return report

    def fail(self, report, *reasons):
        reasons = reasons or reasons_of(report)
        self.module.fail_json(
            msg=f"detour {report['verb']}: {MEANINGS[report['exit']]}: {'; '.join(reasons)}",
            **facts_of(report),
        )

    def warn(self, warnings):
        for warning in warnings:
            fatal = "fatal: " if warning["fatal"] else ""
            self.module.warn(
                f"{fatal}{warning['message']} ({warning['code']}): {warning['hint']}"
            )


def reasons_of(report):
    reasons = [f"{fault['pointer']}: {fault['message']}" for fault in report.get("errors", [])]
    if "error" in report:
        reasons.append(report["error"]["message"])
    reasons += [
        f"{it['kind']} {it['object']}: found {it['found']}, wanted {it['wanted']}: {it['hint']}"
        for it in report["conflicts"]
    ]
    return reasons or [it["message"] for it in report["warnings"] if it["fatal"]]


def facts_of(report):
    """What a task returns of it even when it fails, which Ansible then prints in full."""
    return {
        "changed": report["changed"],
        "exit": report["exit"],
        "conflicts": report["conflicts"],
        "detour_warnings": report["warnings"],
    }


def result_of(report):
    """What a task returns of it."""
    return facts_of(report) | {
        "effect": report["effect"],
        "steps": report["steps"],
        "remaining": report.get("remaining", []),
    }


def diff_of(steps):
    """What the steps do to the live state, for diff mode."""
    return {
        "before_header": "live state",
        "before": listing(steps, "before", "after"),
        "after_header": "live state",
        "after": listing(steps, "after", "before"),
    }


def listing(steps, side, other):
    return "".join(
        f"{step['kind']} {step['object']}: {shown(step[side], step[other])}\n"
        for step in steps
        if step[side] is not None
    )


def shown(mine, other):
    """What differs; of an object that comes or goes, all but the code of a rule."""
    names = [name for name in sorted(mine) if other or name != "expr"]
    differing = {name: mine[name] for name in names if not other or mine[name] != other.get(name)}
    return json.dumps(differing)
