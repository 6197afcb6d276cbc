# SPDX-License-Identifier: GPL-2.0-or-later
"""A fleet: a controller and routers, each a network namespace with files of its own.

    controller br0 10.9.0.254 ---+--- eth0 10.9.0.1  router01  eth1 10.1.0.1, eth2 10.2.0.1
                                 +--- eth0 10.9.0.2  router02  likewise
                                 ...

On each router an agent stands in for sshd: it listens at port 22 and runs what it is sent, so that
a router that a packet does not reach is a router that cannot be reached. The rest of Ansible is the
real one; ansible/connection/fleet.py is its side of the agents.
"""

import base64
import contextlib
import json
import os
import pathlib
import shutil
import socketserver
import subprocess
import sys

import lab as laboratory
from lab import CLONE_NEWNET, CLONE_NEWNS, DETOUR, MS_PRIVATE, MS_REC, REPO, call, libc, mount, run

PAGE = REPO / "docs/fleet-with-ansible.md"
ROUTERS = [f"router{number:02}" for number in range(1, 11)]
PLUGINS = pathlib.Path(__file__).parent / "ansible"
CONTROLLER = "10.9.0.254"
HOSTS = pathlib.Path("/etc/hosts")


class Fleet:
    """What pages.carry_out() needs of a lab, with the controller in the place of the router."""

    def __init__(self):
        self.prefix = f"fleet{os.getpid()}"
        self.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self.place = pathlib.Path("/run/fleet")
        self.agents = []
        self.place.mkdir()
        self.log = self.place / "log"
        self.hosts = HOSTS.read_text()
        laboratory.reset_private_files()
        try:
            self.build()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for agent in self.agents:
            agent.terminate()
            agent.wait()
            agent.stdout.close()
        for host in ["controller", *ROUTERS]:
            subprocess.run(["ip", "netns", "del", self.netns(host)], check=False)
        os.close(self.home)
        HOSTS.write_text(self.hosts)
        shutil.rmtree(self.place)

    def netns(self, host):
        return f"{self.prefix}-{host}"

    def build(self):
        for host in ["controller", *ROUTERS]:
            run(["ip", "netns", "add", self.netns(host)])
        self.ip("controller", "link set lo up", "link add br0 type bridge", "link set br0 up")
        self.ip("controller", f"addr add {CONTROLLER}/24 dev br0")
        for number, host in enumerate(ROUTERS, 1):
            self.add_router(host, number)
        names = (f"10.9.0.{number} {host}\n" for number, host in enumerate(ROUTERS, 1))
        HOSTS.write_text(self.hosts + "".join(names))
        self.agents = [self.start_agent(host) for host in ROUTERS]
        for agent in self.agents:
            agent.stdout.readline()  # it listens

    def add_router(self, host, number):
        """Its other networks end in the controller, where nobody answers."""
        networks = {"eth0": f"10.9.0.{number}", "eth1": "10.1.0.1", "eth2": "10.2.0.1"}
        for interface, address in networks.items():
            peer = f"{host}-{interface}"
            cable = f"type veth peer name {interface} netns {self.netns(host)}"
            self.ip("controller", f"link add {peer} {cable}", f"link set {peer} up")
            self.ip(host, f"addr add {address}/24 dev {interface}", f"link set {interface} up")
        self.ip("controller", f"link set {host}-eth0 master br0")
        self.ip(host, "link set lo up")
        with self.inside(host):
            pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text("1")

    def start_agent(self, host):
        words = [sys.executable, __file__, self.netns(host), str(self.place / host)]
        return subprocess.Popen(words, stdout=subprocess.PIPE)

    @contextlib.contextmanager
    def inside(self, host):
        """The controller, for whoever asks for "router"."""
        name = self.netns("controller" if host == "router" else host)
        with open(f"/run/netns/{name}", "rb") as there:
            call(libc.setns, there.fileno(), CLONE_NEWNET)
        try:
            yield
        finally:
            call(libc.setns, self.home, CLONE_NEWNET)

    def ip(self, host, *lines):
        with self.inside(host):
            run(["ip", "-batch", "-"], "\n".join(lines) + "\n")

    def file(self, host, path):
        """Of the router, as seen from here."""
        return self.place / host / "etc" / path.relative_to("/etc")

    def detour(self, host, *words):
        """Its JSON report, with the router's files."""
        agent = self.agents[ROUTERS.index(host)]
        process = subprocess.run(
            ["nsenter", f"--target={agent.pid}", "--net", "--mount", DETOUR, "--json", *words],
            capture_output=True,
            text=True,
            timeout=60,
        )
        return json.loads(process.stdout)

    def environment(self):
        """For a shell on the controller: `on HOST COMMAND...` acts on a router's network."""
        tools = self.place / "tools"
        tools.mkdir()
        (tools / "detour").symlink_to(os.path.abspath(DETOUR))
        command = f'host=$1; shift; exec ip netns exec "{self.prefix}-$host" "$@"'
        (tools / "on").write_text(f"#!/bin/sh\n{command}\n")
        (tools / "on").chmod(0o755)
        return os.environ | {
            "SOURCE": str(REPO),
            "PATH": f"{tools}:{os.environ['PATH']}",
            "ANSIBLE_HOME": str(self.place / "ansible"),
            "ANSIBLE_CONNECTION_PLUGINS": str(PLUGINS / "connection"),
            "ANSIBLE_TRANSPORT": "fleet",
            "ANSIBLE_CALLBACK_PLUGINS": str(PLUGINS / "callback"),
            "ANSIBLE_CALLBACKS_ENABLED": "fleet",
            "ANSIBLE_PIPELINING": "True",
            "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
            "ANSIBLE_LOCALHOST_WARNING": "False",
            "ANSIBLE_TIMEOUT": "2",
            "ANSIBLE_FORKS": "4",
            "FLEET_LOG": str(self.log),
        }

    def runs(self):
        """What each ansible-playbook told: [{host: {task: result}}], in their order."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


# -- On a router ---------------------------------------------------------------------------------


def enter_router(netns, place):
    """Its network, and files of its own where detour, its units and Ansible write."""
    with open(f"/run/netns/{netns}", "rb") as there:
        call(libc.setns, there.fileno(), CLONE_NEWNET)
    for directory in ("etc", "etc.work", "lib", "run", "sbin"):
        os.makedirs(f"{place}/{directory}")
    call(libc.unshare, CLONE_NEWNS)
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    overlay = f"lowerdir=/etc,upperdir={place}/etc,workdir={place}/etc.work"
    call(libc.mount, b"overlay", b"/etc", b"overlay", 0, overlay.encode())
    os.symlink(os.path.abspath(DETOUR), f"{place}/sbin/detour")
    for directory, target in (("lib", "/var/lib"), ("sbin", "/usr/local/sbin"), ("run", "/run")):
        mount(f"{place}/{directory}", target, flags=laboratory.MS_BIND)
    shutil.copytree(REPO / "systemd", "/etc/systemd/system", dirs_exist_ok=True)


class Agent(socketserver.StreamRequestHandler):
    """A line of JSON for each command: {"command", "input"}, then {"code", "output", "errors"}."""

    environment = {
        "HOME": "/run/root",
        "LANG": "C.UTF-8",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "SYSTEMD_OFFLINE": "1",
    }

    def handle(self):
        for line in self.rfile:
            wanted = json.loads(line)
            process = subprocess.run(
                ["/bin/sh", "-c", wanted["command"]],
                input=base64.b64decode(wanted["input"]),
                capture_output=True,
                env=self.environment,
                check=False,
            )
            answer = {
                "code": process.returncode,
                "output": base64.b64encode(process.stdout).decode(),
                "errors": base64.b64encode(process.stderr).decode(),
            }
            self.wfile.write(json.dumps(answer).encode() + b"\n")


class Listener(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


def be_agent(netns, place):
    enter_router(netns, place)
    os.makedirs("/run/root/.ansible/tmp", mode=0o700)
    with Listener(("0.0.0.0", 22), Agent) as listener:
        print("listening", flush=True)
        listener.serve_forever()


if __name__ == "__main__":
    be_agent(*sys.argv[1:])
