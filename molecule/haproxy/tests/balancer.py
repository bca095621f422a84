# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The load balancer as its clients, its servers and its operators meet it."""

from __future__ import annotations

import csv
import http.client
import json
import socket
import ssl
import tempfile
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from ipaddress import ip_address
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from support.service import Service
from support.waiting import wait_until
from testinfra.host import Host

FILE = "/etc/haproxy/haproxy.cfg"
LOG = "/var/log/haproxy.log"
PLAYBOOK = "molecule/haproxy/converge.yml"


@dataclass(frozen=True)
class Reply:
    """What a client got; `seen` is what the server says that it got."""

    status: int
    headers: Message
    body: bytes
    # The client's address and port
    client: str

    @property
    def seen(self) -> dict[str, Any]:
        assert self.status == 200, (self.status, self.body[:200])
        return json.loads(self.body)

    @property
    def server(self) -> str:
        return self.seen["server"]

    def seen_headers(self, name: str) -> list[str]:
        return [value for key, value in self.seen["headers"] if key.lower() == name.lower()]


def fresh(prefix: str) -> str:
    """A path that no test used before: what a server was told of a path stays."""
    return f"/{prefix}/{uuid.uuid4().hex}"


def proxy_header(client: str, version: int = 1) -> bytes:
    """What a proxy says of a client with that address (and port 34567) in version 1 or 2 of the PROXY protocol."""
    source = ip_address(client)
    target = ip_address("203.0.113.1" if source.version == 4 else "2001:db8::1")
    if version == 1:
        return f"PROXY TCP{source.version} {source} {target} 34567 80\r\n".encode()
    addresses = source.packed + target.packed + (34567).to_bytes(2, "big") + (80).to_bytes(2, "big")
    family = b"\x11" if source.version == 4 else b"\x21"
    return b"\r\n\r\n\x00\r\nQUIT\n\x21" + family + len(addresses).to_bytes(2, "big") + addresses


class Balancer:
    """lb-1, and the servers behind it by name."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.name = service.group("lb")[0]
        self.servers = service.group("app") + service.group("redis")
        self.address = service.address
        self.private_address = service.hostvars[self.name]["private_address"]

    @property
    def host(self) -> Host:
        return self.service.host(self.name)

    # Clients

    def connect(
        self, port: int = 80, proxy: bytes = b"", tls: ssl.SSLContext | None = None, name: str = ""
    ) -> http.client.HTTPConnection:
        """An HTTP connection; `proxy` is the PROXY header that it begins with."""
        connection = http.client.HTTPConnection(self.address, port, timeout=15)
        connection.connect()
        connection.sock.sendall(proxy)
        if tls:
            connection.sock = tls.wrap_socket(connection.sock, server_hostname=name)
        return connection

    def get(
        self,
        path: str = "/",
        port: int = 80,
        *,
        backend: str | None = None,
        headers: dict[str, str] | None = None,
        on: http.client.HTTPConnection | None = None,
        **how: Any,
    ) -> Reply:
        """A request on a connection of its own, or on that one; with `backend`, to frontend `any`."""
        if backend:
            headers = {"X-Backend": backend} | (headers or {})
            port = 8001 if port == 80 else port
        connection = on or self.connect(port, **how)
        try:
            client = "{}:{}".format(*connection.sock.getsockname()[:2])
            connection.request("GET", path, headers=headers or {})
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read(), client)
        finally:
            if not on:
                connection.close()

    def spread(self, backend: str, requests: int = 300, *, one_connection: bool = False) -> dict[str, int]:
        """How many of the requests each server got. On one connection, each begins when the last is over."""
        got = dict.fromkeys(self.servers, 0)
        connection = self.connect(8001) if one_connection else None
        for _ in range(requests):
            got[self.get(backend=backend, on=connection).server] += 1
        if connection:
            connection.close()
        return got

    @contextmanager
    def held(self, backend: str, requests: int) -> Iterator[list[str]]:
        """That many requests wait for their answers, one more each; gives the servers' names."""
        homes: list[str] = []
        paths: list[str] = []
        with ThreadPoolExecutor(requests) as pool:
            waiting: list[Future[Reply]] = []
            try:
                for _ in range(requests):
                    paths.append(fresh("hold"))
                    waiting.append(pool.submit(self.get, paths[-1], backend=backend))
                    homes.append(self.home_of(paths[-1]))
                yield homes
            finally:
                for path in paths:
                    self.tell_all({path: [{}]})
            assert [reply.result().server for reply in waiting] == homes

    # Servers

    def tell(self, server: str, answers: dict[str, list[Any]]) -> None:
        """What the server is to answer (files/backend.py)."""
        self._ask_server(server, "POST", "/_answers", json.dumps(answers))

    def tell_all(self, answers: dict[str, list[Any]]) -> None:
        for server in self.servers:
            self.tell(server, answers)

    def seen(self, server: str, path: str) -> tuple[int, int]:
        """How many requests for the path the server saw and how many it answered."""
        counts = self._ask_server(server, "GET", "/_seen")
        return counts["asked"].get(path, 0), counts["answered"].get(path, 0)

    def home_of(self, path: str) -> str:
        """The server that got the path's request, as soon as one did."""
        found: list[str] = []

        def look() -> bool:
            found[:] = [server for server in self.servers if self.seen(server, path)[0]]
            return bool(found)

        wait_until(f"request for {path}", look)
        return found[0]

    def _ask_server(self, server: str, method: str, path: str, body: str | None = None) -> Any:
        connection = http.client.HTTPConnection(self.service.public_address(server), 8101, timeout=10)
        try:
            connection.request(method, path, body)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    # Operators

    def runtime(self, command: str) -> str:
        """What the runtime API answers. On TCP, so that a question costs no login."""
        with socket.create_connection((self.private_address, 9990), timeout=10) as connection:
            connection.sendall(command.encode() + b"\n")
            return connection.makefile().read().strip()

    def stats(self, backend: str) -> dict[str, dict[str, str]]:
        """Each server's row of the statistics."""
        rows = csv.DictReader(self.runtime("show stat").removeprefix("# ").splitlines())
        return {row["svname"]: row for row in rows if row["pxname"] == backend and row["svname"] in self.servers}

    def waiting(self, backend: str) -> int:
        """How many requests the backend has that are not answered."""
        rows = csv.DictReader(self.runtime("show stat").removeprefix("# ").splitlines())
        return next(int(row["scur"]) for row in rows if (row["pxname"], row["svname"]) == (backend, "BACKEND"))

    def status(self, backend: str, server: str) -> str:
        return self.stats(backend)[server]["status"]

    def all_up(self, backend: str) -> bool:
        return {row["status"].split()[0] for row in self.stats(backend).values()} <= {"UP", "no"}

    def all_down(self, backend: str) -> bool:
        return {row["status"] for row in self.stats(backend).values()} == {"DOWN"}

    def play(self, variables: dict[str, Any] | None = None, *arguments: str) -> CompletedProcess[str]:
        """Run the role on the load balancer, with these variables over those of vars/main.yml."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "extra.json"
            file.write_text(json.dumps(variables or {}))
            return self.service.play(PLAYBOOK, f"--extra-vars=@{file}", *arguments)

    def apply(self, variables: dict[str, Any] | None = None) -> None:
        done = self.play(variables)
        assert done.returncode == 0, done.stdout

    def configuration(self) -> str:
        return self.host.file(FILE).content_string

    def certificates(self) -> list[str]:
        return self.host.check_output("ls -A /etc/haproxy/certs").split()

    def files(self) -> str:
        """All that the role writes, to the last byte, mode and date."""
        places = "/etc/haproxy /etc/systemd/system/haproxy.service.d /etc/sysctl.d /etc/logrotate.d /usr/local/sbin"
        return self.host.check_output(
            f"find {places} -printf '%p %M %u %g %t\\n' | sort; find {places} -type f -exec sha256sum {{}} +"
        )

    def certificate(self, name: str = "") -> str:
        """Whose certificate a client gets that asks for this name, or for none."""
        ask = f"-servername {name}" if name else "-noservername"
        shown = f"openssl s_client -connect {self.address}:443 {ask} </dev/null 2>&1 | openssl x509 -noout -subject"
        return self.host.check_output(shown).rpartition("CN")[2].strip(" =")

    def process(self) -> str:
        """The master process: a restart changes it, a reload doesn't."""
        return self.host.check_output("systemctl show --property=MainPID --value haproxy")

    def workers(self) -> set[str]:
        """Processes that serve clients: the one of now, and old ones that still have some."""
        return set(self.host.check_output("pgrep --parent %s || true", self.process()).split())

    def reload(self) -> None:
        self.host.check_output("systemctl reload haproxy")


@dataclass
class Load:
    """Clients that ask all the time, each request on a new connection or all of a client's on one."""

    balancer: Balancer
    keep_alive: bool
    clients: int = 4
    done: int = 0
    failed: list[str] = field(default_factory=list)
    servers: set[str] = field(default_factory=set)

    def __enter__(self) -> Load:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        wait_until("first requests", lambda: self.done >= self.clients or self.failed)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        connection = http.client.HTTPConnection(self.balancer.address, timeout=15)
        while not self._stop.is_set():
            try:
                connection.request("GET", "/load")
                response = connection.getresponse()
                text = response.read()
                if response.status == 200:
                    self.done += 1
                    self.servers.add(json.loads(text)["server"])
                else:
                    self.failed.append(f"status {response.status}")
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                connection.close()
            if not self.keep_alive:
                connection.close()
            # Steady, and not all that the machine can do
            self._stop.wait(0.005)
        connection.close()
