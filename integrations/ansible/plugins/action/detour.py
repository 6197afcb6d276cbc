# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Applies, then confirms over a connection that did not exist while it was applied.

A connection in progress proves nothing: by default a document leaves those alone. So the
controller drops its own and makes another. When it cannot, the router undoes the change by itself;
the controller goes on trying for some time after that, to tell what became of the router.
"""

import time

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

GRACE = 30  # seconds after the change was undone until a router counts as lost


class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        result.update(self._execute_module(task_vars=task_vars))
        pending = result.pop("pending", None)
        if pending:
            self.confirm(pending, result, task_vars)
        return result

    def confirm(self, pending, result, task_vars):
        args = self._task.args | {"pending": pending}
        deadline = time.monotonic() + pending["seconds_left"] + GRACE
        while True:
            try:
                self._connection.reset()
                outcome = self._execute_module(module_args=args, task_vars=task_vars)
                break
            except AnsibleConnectionFailure as error:
                if time.monotonic() > deadline:
                    outcome = lost(pending, error)
                    break
            time.sleep(1)
        if outcome.get("failed") or outcome.get("unreachable"):
            outcome = unconfirmed(outcome)
            for name in ("effect", "steps", "remaining", "diff"):
                result.pop(name, None)
        warnings = result.get("warnings", []) + outcome.pop("warnings", [])
        result.update(outcome, **({"warnings": warnings} if warnings else {}))


def lost(pending, error):
    return {
        "unreachable": True,
        "confirmed": False,
        "msg": f"the router could not be reached again: {error}. The change was to be undone after "
        f"{pending['seconds_left']} seconds; whether it was has not been observed",
    }


def unconfirmed(outcome):
    """Of what failed before it came to confirming, such as for a full disk."""
    if "confirmed" in outcome:
        return outcome
    so = "so the change was not confirmed, and the router undoes it by itself"
    return outcome | {"confirmed": False, "msg": f"{outcome.get('msg')}; {so}"}
