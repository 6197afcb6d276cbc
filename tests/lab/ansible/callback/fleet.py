# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes what each run of ansible-playbook told, as a line of JSON: {host: {task: result}}."""

import json
import os

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: fleet
type: notification
short_description: Results of a run for tests
description: One line of JSON for each run, into FLEET_LOG.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "fleet"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self.results = {}

    def note(self, result, **facts):
        tasks = self.results.setdefault(result._host.get_name(), {})
        tasks[result._task.action] = result._result | facts

    def v2_runner_on_ok(self, result):
        self.note(result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.note(result, failed=True)

    def v2_runner_on_unreachable(self, result):
        self.note(result, unreachable=True)

    def v2_playbook_on_stats(self, stats):
        with open(os.environ["FLEET_LOG"], "a", encoding="utf-8") as file:
            file.write(json.dumps(self.results) + "\n")
