# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service as its users and its operators meet it: HTTP, Ansible runs, the API, and a look at the hosts."""

from __future__ import annotations

import http.client
import json
import os
import shlex
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field
from functools import cached_property
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
import testinfra
from testinfra.host import Host

from support import REPO
from support.waiting import wait_until

BIN = Path(sys.executable).parent
# Every task of the scenario and of its tests so far, at verbosity 3 and with diffs
LOG = REPO / ".build" / "log" / f"molecule-ansible-{os.environ.get('LAB', 'test')}.log"
SECRETS = ("postgresql_password", "redis_password", "redis_admin_password", "haproxy_stats_password")


def secrets_said() -> list[str]:
    """Names of the secrets that the log has."""
    log = LOG.read_text()
    return [name for name in SECRETS if (REPO / ".secrets" / "hits" / name).read_text().strip() in log]


@dataclass(frozen=True)
class Answer:
    """What a client got, and who answered."""

    status: int
    instance: str
    total: int


@dataclass
class Visitor:
    """A browser: it keeps its cookies, wherever it goes, and makes a connection for each request."""

    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, address: str, path: str, timeout: float = 10) -> tuple[int, str]:
        """Status and text of the answer."""
        connection = http.client.HTTPConnection(address, timeout=timeout)
        try:
            cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            connection.request("GET", path, headers={"Cookie": cookie} if cookie else {})
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        for header in response.headers.get_all("Set-Cookie", []):
            self.cookies |= {name: morsel.value for name, morsel in SimpleCookie(header).items()}
        return response.status, text


@dataclass
class Client:
    """A visitor of hits at one address."""

    address: str
    visitor: Visitor = field(default_factory=Visitor)

    def get(self, path: str = "/api/hits") -> Answer:
        status, text = self.visitor.get(self.address, path)
        if status != 200:
            return Answer(status, "", 0)
        values = json.loads(text)
        return Answer(200, values["instance"], values["total"])


class Service:
    """The inventory's service."""

    @cached_property
    def hostvars(self) -> dict[str, dict[str, Any]]:
        return dict(self._inventory["_meta"]["hostvars"])

    @cached_property
    def _inventory(self) -> dict[str, Any]:
        command = [str(BIN / "ansible-inventory"), "--list"]
        done = subprocess.run(command, cwd=REPO, capture_output=True, text=True)
        if done.returncode:
            pytest.exit(f"no inventory: {done.stderr}", 1)
        # ansible-core marks text that came from an API like this
        return dict(json.loads(done.stdout, object_hook=lambda value: value.get("__ansible_unsafe", value)))

    def group(self, name: str) -> list[str]:
        return list(self._inventory[name]["hosts"])

    def host(self, name: str) -> Host:
        return testinfra.get_host(
            f"ssh://root@{self.public_address(name)}",
            # What Ansible connects with, too
            ssh_identity_file=os.environ.get("ANSIBLE_PRIVATE_KEY_FILE"),
            ssh_extra_args=os.environ.get("ANSIBLE_SSH_EXTRA_ARGS"),
        )

    def ssh(self, name: str) -> list[str]:
        """The command that logs in there, for what has to go on for a while."""
        key = os.environ.get("ANSIBLE_PRIVATE_KEY_FILE")
        extra = shlex.split(os.environ.get("ANSIBLE_SSH_EXTRA_ARGS", ""))
        return ["ssh", *(["-i", key] if key else []), *extra, f"root@{self.public_address(name)}"]

    def public_address(self, name: str) -> str:
        return str(self.hostvars[name]["do_public_ipv4"])

    @property
    def address(self) -> str:
        """Where users reach the service."""
        return self.public_address(self.group("lb")[0])

    def client(self) -> Client:
        return Client(self.address)

    def play(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ansible-playbook and return what it printed, on both channels, and its exit code."""
        process = self.start(*arguments)
        output = process.communicate()[0]
        return subprocess.CompletedProcess(process.args, process.returncode, output)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start ansible-playbook, in a process group of its own as a shell does."""
        environment = {
            **os.environ,
            # Molecule wants colours, and tests don't
            "ANSIBLE_FORCE_COLOR": "false",
            "ANSIBLE_LOG_PATH": str(LOG),
            "ANSIBLE_LOG_VERBOSITY": "3",
        }
        return subprocess.Popen(
            [str(BIN / "ansible-playbook"), *arguments],
            cwd=REPO,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def answers_in_turn(self) -> bool:
        """Whether every app server is in rotation."""
        client = self.client()
        return {client.get().instance for _ in range(2 * len(self.group("app")))} == set(self.group("app"))

    def servers(self, balancer: str = "") -> dict[str, str]:
        """The state of each server, as the runtime API of a load balancer says; without a name, the first one's."""
        return {row["svname"]: row["status"] for row in self.stats(balancer)}

    def stats(self, balancer: str = "") -> list[dict[str, str]]:
        """A row of statistics for each server."""
        lines = self.ask_haproxy("show stat -1 4 -1", balancer).removeprefix("# ").splitlines()
        return [dict(zip(lines[0].split(","), line.split(","), strict=False)) for line in lines[1:] if line]

    def ask_haproxy(self, command: str, balancer: str = "") -> str:
        code = (
            "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect('/run/haproxy/admin.sock'); "
            "s.sendall(sys.argv[1].encode() + b'\\n'); print(s.makefile().read())"
        )
        return str(self.host(balancer or self.group("lb")[0]).check_output("python3 -c %s %s", code, command))

    def reboot(self, *names: str, kind: str = "reboot") -> None:
        """Have the API reboot these droplets, or all of them, and wait until it says that they came up."""
        actions = [
            self._api(f"/droplets/{self.hostvars[name]['do_id']}/actions", {"type": kind})
            for name in names or self.hostvars
        ]
        paths = [f"/actions/{action['action']['id']}" for action in actions]
        wait_until("reboot", lambda: all(self._api(path)["action"]["status"] == "completed" for path in paths), 90)

    def _api(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(os.environ["DIGITALOCEAN_API_URL"] + path)
        request.add_header("Authorization", f"Bearer {os.environ['DIGITALOCEAN_TOKEN']}")
        if body:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=30) as response:
            return dict(json.load(response))
