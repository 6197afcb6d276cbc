# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients that connect all the time, in a process of their own, and tell who answered.

    traffic.py ADDRESS:PORT...    a line for each connection: when its SYN was sent, and the answer
"""

import collections
import errno
import json
import selectors
import socket
import sys
import time

from lab import Companion, af

AT_ONCE = 2  # connections to each target
GIVE_UP = 5  # seconds; a SYN that got lost is sent again before that

# number: of this target's connections; also tells its source port, which no other has
Attempt = collections.namedtuple("Attempt", "address port number began sent answer")


class Traffic(Companion):
    """While the block runs. attempts: all that have ended, in that order."""

    def __init__(self, lab, targets):
        super().__init__(lab, "client", __file__, *(f"{host}:{port}" for host, port in targets))
        self.attempts = []

    def take(self, line):
        self.attempts.append(Attempt(*json.loads(line)))

    def flow(self, count):
        """Returns when each target was connected to that many times more."""
        began, seen = len(self.attempts), collections.Counter()
        targets = {(attempt.address, attempt.port) for attempt in self.attempts}

        def is_enough():
            nonlocal began
            seen.update((attempt.address, attempt.port) for attempt in self.attempts[began:])
            began = len(self.attempts)
            return len(seen) >= max(len(targets), 1) and min(seen.values()) >= count

        assert self.wait_for(is_enough), seen


# -- The process ---------------------------------------------------------------------------------


class Client:
    def __init__(self, targets):
        self.selector = selectors.DefaultSelector()
        self.selector.register(sys.stdin, selectors.EVENT_READ)
        self.targets, self.running, self.open = targets, True, {}
        self.numbers = dict.fromkeys(targets, 0)

    def start(self, target):
        self.numbers[target] += 1
        sock = socket.socket(af(target[0]))
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # other targets have it too
        sock.bind(("", source_port(self.numbers[target])))
        began = time.monotonic()
        code = sock.connect_ex(target)
        state = [*target, self.numbers[target], began, time.monotonic()]
        if code not in (0, errno.EINPROGRESS):
            return self.end(sock, state, errno.errorcode[code])
        self.open[sock] = state
        self.selector.register(sock, selectors.EVENT_READ, state)

    def end(self, sock, state, answer):
        if self.open.pop(sock, None):
            self.selector.unregister(sock)
        sock.close()
        print(json.dumps([*state, answer]), flush=True)
        if self.running:
            self.start((state[0], state[1]))

    def read(self, sock, state):
        try:
            self.end(sock, state, sock.recv(100).decode().strip() or "closed")
        except OSError as error:
            self.end(sock, state, errno.errorcode[error.errno])

    def run(self):
        for target in self.targets * AT_ONCE:
            self.start(target)
        while self.open or self.running:
            for key, _ in self.selector.select(1):
                if key.data:
                    self.read(key.fileobj, key.data)
                else:
                    self.running = False
                    self.selector.unregister(sys.stdin)
            for sock, state in list(self.open.items()):
                if state[-1] + GIVE_UP < time.monotonic():
                    self.end(sock, state, "ETIMEDOUT")


def source_port(number):
    return 10000 + number


def main(words):
    parts = [word.rsplit(":", 1) for word in words]
    Client([(address, int(port)) for address, port in parts]).run()


if __name__ == "__main__":
    main(sys.argv[1:])
