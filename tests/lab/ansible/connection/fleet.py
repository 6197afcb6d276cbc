# SPDX-License-Identifier: GPL-2.0-or-later
"""Ansible's side of the agents in tests/lab/fleet.py: one TCP connection for each task."""

import base64
import json
import socket

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: fleet
short_description: Routers of the lab
description: One TCP connection for each task, until it is reset.
options: {}
"""


class Connection(ConnectionBase):
    transport = "fleet"
    has_pipelining = True
    socket = None

    def _connect(self):
        if not self.socket:
            address = self._play_context.remote_addr, 22
            try:
                self.socket = socket.create_connection(address, self._play_context.timeout)
            except OSError as error:
                raise AnsibleConnectionFailure(f"{address[0]}: {error}") from None
            self.socket.settimeout(60)
        return self

    def exec_command(self, cmd, in_data=None, sudoable=True):
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        self._connect()
        wanted = {"command": cmd, "input": base64.b64encode(in_data or b"").decode()}
        try:
            self.socket.sendall(json.dumps(wanted).encode() + b"\n")
            with self.socket.makefile("rb") as answers:
                answer = json.loads(answers.readline())
        except (OSError, ValueError) as error:
            self.close()
            raise AnsibleConnectionFailure(f"the connection was lost: {error}") from None
        texts = (base64.b64decode(answer[name]) for name in ("output", "errors"))
        return answer["code"], *texts

    def put_file(self, in_path, out_path):
        with open(in_path, "rb") as file:
            self.exec_command(f"cat >'{out_path}'", file.read())

    def fetch_file(self, in_path, out_path):
        with open(out_path, "wb") as file:
            file.write(self.exec_command(f"cat '{in_path}'")[1])

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket = None

    def reset(self):
        self.close()
        self._connect()
