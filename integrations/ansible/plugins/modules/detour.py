#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)

DOCUMENTATION = r"""
module: detour
short_description: Makes a router send selected connections through its gateways
version_added: 0.1.0
author:
  - The detour maintainers (@detour)
description:
  - Brings the live state of a Linux router to what a C(detour) document says, with the fewest writes, see
    C(detour(8)) and C(detour.json(5)).
  - A change is kept only after the controller has reached the router over a fresh connection. A router that it
    cannot reach again goes back to its old state by itself, and the task fails.
  - Check mode and diff mode show what would be done, as C(detour plan) does. Nothing is written.
options:
  document:
    description:
      - The document. It is kept at O(path) once the change is confirmed, and is left alone there until then.
      - Without it the document is the file at O(path).
    type: dict
  path:
    description:
      - Where the document is on the router. The units that come with C(detour) read this file unless told otherwise.
    type: path
    default: /etc/detour/detour.json
  state:
    description:
      - With V(present), the live state is that of the document.
      - With V(absent), all that C(detour) made is removed, selected connections go directly to their servers, and
        the file at O(path) is removed.
    type: str
    choices: [present, absent]
    default: present
  confirm:
    description:
      - For how many seconds after a change the router waits to be reached over a fresh connection before it undoes
        the change, 1 to 86400.
      - With V(0) a change is kept without that.
      - A document that was reverted before is refused with V(0), and is tried again otherwise.
    type: int
    default: 60
  strict:
    description:
      - Changes nothing, and fails, while a warning is fatal, that is while a redirect certainly would not work.
    type: bool
    default: false
  allow_empty:
    description:
      - The last live redirect may go. Otherwise a document without an enabled redirect is refused while some are
        live, so that an empty template does not open everything.
    type: bool
    default: false
  reason:
    description:
      - Why, for syslog and C(detour status) on the router, in at most 200 characters.
    type: str
    default: ""
  pending:
    description:
      - The change that is to be confirmed. The action plugin gives it to the module's second call, over a fresh
        connection; there is no need to give it in a task.
    type: dict
requirements:
  - detour on the router
attributes:
  check_mode:
    description: Tells what would be done, and fails where it would be refused.
    support: full
  diff_mode:
    description: Shows the live objects, and the document's file, before and after.
    support: full
notes:
  - It needs root on the router, or CAP_NET_ADMIN and access to the files that C(detour(8)) lists.
  - Over C(ansible_connection=local) there is no fresh connection, so a confirmation proves nothing.
  - Should something that ended with the connection take its processes along, such as C(KillUserProcesses=yes) of
    C(logind.conf(5)), the change is undone at once, and the task fails.
"""

EXAMPLES = r"""
- name: Send remote desktops through the gateway
  detour.detour.detour:
    reason: CHG0012345
    document:
      version: 1
      gateways:
        - name: scb
          interface: eth2
          addresses: [10.2.0.10]
          mark: "0x10/0xf0"
          table: 103
          priority: 100
      redirects:
        - name: rdp
          gateway: scb
          clients: {interfaces: [eth0]}
          servers: {networks: [10.1.0.0/24]}
          services: [3389/tcp]

- name: The same from a template, unless it certainly would not work
  detour.detour.detour:
    document: "{{ lookup('ansible.builtin.template', 'detour.json.j2') }}"
    strict: true

- name: Remove all that detour made
  detour.detour.detour:
    state: absent
"""

RETURN = r"""
changed:
  description: Whether something was written and is still there, in check mode whether it would be.
  returned: always
  type: bool
effect:
  description:
    - What the difference meant for selected traffic. C(leak), it reached the servers unaudited; C(outage), it was
      dropped; C(exposed), it would have leaked at the next loss; C(none).
  returned: success
  type: str
  sample: leak
steps:
  description: What there was to do, in its order, as in a report of C(detour).
  returned: success
  type: list
  elements: dict
  sample:
    - action: create
      drift: missing
      kind: route
      object: ipv4 table 103 default
      effect: outage
      gateway: scb
      redirects: [rdp]
      before: null
      after: {dst: default, gateway: 10.2.0.10, dev: eth2, table: 103, protocol: 103}
      why: next hop of gateway scb
remaining:
  description: Steps that cannot be taken yet, such as for an interface that is down. They are no failure.
  returned: success
  type: list
  elements: dict
conflicts:
  description: Foreign objects in the way. With one of them nothing is written, and the task fails.
  returned: always
  type: list
  elements: dict
detour_warnings:
  description: What will defeat a redirect although every object is in place. Ansible's own warnings show them, too.
  returned: always
  type: list
  elements: dict
  sample:
    - code: forwarding-off
      fatal: true
      message: IPv4 is not forwarded
      hint: sysctl -w net.ipv4.ip_forward=1
exit:
  description: The exit code of C(detour), see C(detour(8)).
  returned: always
  type: int
confirmed:
  description: Whether the change was confirmed over a fresh connection.
  returned: when a change awaited confirmation
  type: bool
"""

import json
import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.detour.detour.plugins.module_utils.program import (
    GOOD,
    Detour,
    diff_of,
    reasons_of,
    result_of,
)


FLAGS = ("strict", "allow_empty")  # of apply alone


class File:
    """The document's place on the router."""

    def __init__(self, module):
        self.module, self.path = module, os.path.abspath(module.params["path"])
        self.old = self.read()

    def read(self):
        try:
            with open(self.path, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            self.module.fail_json(msg=f"nothing was changed: {error}")

    def wanted(self):
        """Its text. None: no file. What says the same stays as it is."""
        if self.module.params["state"] == "absent":
            return None
        document = self.module.params["document"]
        if document is None or document == parsed(self.old):
            return self.old
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

    def will_change(self):
        return self.wanted() != self.old

    def write(self, text):
        """As a whole or not at all. A failure ends the module."""
        if text is None:
            os.unlink(self.path)
            return
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        draft = os.path.join(self.module.tmpdir, "detour.json")
        with open(draft, "w", encoding="utf-8") as file:
            file.write(text)
        self.module.atomic_move(draft, self.path)

    def diff(self):
        return {
            "before_header": self.path,
            "before": self.old or "",
            "after_header": self.path,
            "after": self.wanted() or "",
        }


def parsed(text):
    try:
        return json.loads(text or "")
    except ValueError:
        return None


class Change:
    """apply or destroy, with the options that were given."""

    def __init__(self, module):
        self.module, self.params = module, module.params
        self.detour, self.file = Detour(module), File(module)

    def words(self):
        given = [f"--{name.replace('_', '-')}" for name in FLAGS if self.params[name]]
        words = ["apply", *given] if self.params["state"] == "present" else ["destroy"]
        words += ["--confirm", str(self.params["confirm"])] if self.params["confirm"] else []
        return words + ["--reason", self.params["reason"]]

    def source(self):
        """The word that names the document, and what goes to standard input."""
        if self.params["state"] == "absent":
            return [], None
        if self.params["document"] is None:
            return [self.params["path"]], None
        return ["-"], json.dumps(self.params["document"])

    def run(self, *options):
        names, text = self.source()
        return self.detour.need(*self.words(), *options, *names, document=text)

    def look(self):
        """What there is to do; what would be refused ends the module."""
        report = self.run("--check")
        for warning in report["warnings"]:
            if warning["code"] == "would-be-empty" and not self.params["allow_empty"]:
                reason = f"{warning['message']}; if that is meant, say allow_empty"
                self.detour.fail(report | {"exit": 1}, reason)
            if warning["code"] == "reverted":
                reason = f"{warning['message']}; if it should hold after all, let it be confirmed"
                self.detour.fail(report | {"exit": 75}, reason)
        return report

    def refuse_pending(self):
        """In check mode, which nobody else would tell."""
        pending = self.detour.run("status").get("pending")
        if pending and not pending["overdue"]:
            self.module.fail_json(
                msg=f"refused for now: a change by {pending['who']} awaits confirmation, "
                f"{pending['seconds_left']} seconds are left"
            )

    def result(self, report, changed):
        result = result_of(report) | {"changed": changed}
        if self.module._diff:
            changes = [self.file.diff()] if self.file.will_change() else []
            result["diff"] = [diff_of(report["steps"]), *changes]
        return result

    def predict(self):
        if not self.detour.program:
            self.module.warn("detour is not installed yet, so what it would do is not known")
            self.module.exit_json(changed=self.params["state"] == "present")
        report = self.look()
        self.refuse_pending()
        self.detour.warn(report["warnings"])
        waiting = [step for step in report["steps"] if "waits" in step]
        changed = len(waiting) < len(report["steps"]) or self.file.will_change()
        self.module.exit_json(**self.result(report | {"remaining": waiting}, changed))

    def make(self):
        expected = self.look()
        report = self.run()
        known = expected["warnings"]
        self.detour.warn(known + [it for it in report["warnings"] if it not in known])
        result = self.result(report, report["changed"] or self.file.will_change())
        if report.get("pending"):
            result["pending"] = report["pending"]
        elif self.file.will_change():
            self.file.write(self.file.wanted())
        self.module.exit_json(**result)

    # Over a fresh connection

    def confirm(self, mine):
        """Keeps the change that the first call left pending."""
        status = self.detour.run("status")
        pending, last = status.get("pending"), status.get("last")
        if not is_same(pending, mine):
            self.tell_end(mine, last)
        if self.file.will_change():
            # Before the confirmation, so that a watch --repair never sees the old one in force.
            self.file.write(self.file.wanted())
        report = self.detour.run("confirm", "--reason", self.params["reason"])
        if report["exit"] not in GOOD:
            if self.file.read() != self.file.old:
                self.file.write(self.file.old)
            self.refuse_late(reasons_of(report)[0], changed=True)
        self.module.exit_json(changed=True, confirmed=True)

    def tell_end(self, mine, last):
        """What became of a change that is not pending any longer."""
        if last and last["verb"] == "confirm" and last["digest"] == mine["digest"]:
            self.module.exit_json(changed=True, confirmed=True)
        if last and last["verb"] == "revert":
            self.refuse_late(f"it was undone by {last['who']}", changed=False)
        self.refuse_late("it is not pending any longer: see detour status", changed=True)

    def refuse_late(self, why, changed):
        self.module.fail_json(
            changed=changed,
            confirmed=False,
            msg=f"the change was not confirmed in time over a fresh connection: {why}",
        )


def is_same(pending, mine):
    keys = ("digest", "pid", "started")
    return bool(pending) and all(pending[key] == mine[key] for key in keys)


def main():
    module = AnsibleModule(
        argument_spec={
            "document": {"type": "dict"},
            "path": {"type": "path", "default": "/etc/detour/detour.json"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "confirm": {"type": "int", "default": 60},
            "strict": {"type": "bool", "default": False},
            "allow_empty": {"type": "bool", "default": False},
            "reason": {"type": "str", "default": ""},
            "pending": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    change = Change(module)
    if module.params["pending"]:
        change.confirm(module.params["pending"])
    elif module.check_mode:
        change.predict()
    else:
        change.make()


if __name__ == "__main__":
    main()
