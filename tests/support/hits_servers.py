# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real PostgreSQL, Redis and app processes on the loopback interface, for tests that stop and start them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pwd
import random
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import redis

from support import REPO
from support.programs import find_server
from support.waiting import wait_until

FILES = REPO / "roles" / "hits" / "files"


# Below those that the kernel gives to clients, or a server that is stopped for a while may find its port taken by one
PORTS = range(12000, 20000)


def free_port() -> int:
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("0.0.0.0", port))
            return port


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Process:
    """A child process that can be stopped and started again."""

    command: list[str]
    stop_signal = signal.SIGTERM
    environ: Mapping[str, str] | None = None
    directory: Path

    def start(self) -> None:
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(self.command, cwd=self.directory, env=self.environ, stdout=log, stderr=log)
        try:
            wait_until(f"{self.command[0]} ready", self.ready)
        except AssertionError as error:
            self.stop(signal.SIGKILL)
            raise AssertionError(f"{error}\n{(self.directory / 'log').read_text()}") from None

    def ready(self) -> object:
        raise NotImplementedError

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def stop(self, number: int | None = None) -> int:
        """Stop it and return its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(number or self.stop_signal)
        return self._process.wait(15)


class Postgres(Process):
    # "Fast": it does not wait for its clients to leave
    stop_signal = signal.SIGINT

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        # PostgreSQL refuses to run as root
        user: list[str] = []
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(directory, account.pw_uid, account.pw_gid)
            user = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        data = str(directory / "data")
        initdb = [find_server("initdb"), "-D", data, "-U", "hits", "-A", "trust", "--no-sync"]
        subprocess.run([*user, *initdb], cwd=directory, check=True, capture_output=True)
        settings = ["listen_addresses=127.0.0.1", f"unix_socket_directories={directory}", "fsync=off"]
        options = [word for setting in settings for word in ("-c", setting)]
        postgres = find_server("postgres")
        self.command = [*user, postgres, "-D", data, "-p", str(self.port), *options]

    def crash(self) -> None:
        """Kill every process of it at once, as a power cut would; what was written stays written."""
        pids = [self.pid, *children(self.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self.stop()
        # It does not start while one of them still holds its memory
        wait_until("its processes gone", lambda: not any(map(alive, pids)))

    def url(self, database: str = "hits") -> str:
        return f"postgresql://hits@127.0.0.1:{self.port}/{database}"

    def query(self, statement: str, database: str = "hits") -> list[Any]:
        with psycopg.connect(self.url(database), autocommit=True, connect_timeout=2) as db:
            cursor = db.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def ready(self) -> object:
        return self.query("SELECT 1", "postgres")


class Redis(Process):
    def __init__(self, directory: Path, *, durable: bool = False) -> None:
        self.directory = directory
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis.from_url(self.url)
        # Debian has one program for both, which looks at the name it is called by
        server = directory / "redis-server"
        server.symlink_to(find_server("redis-server", "redis-check-rdb"))
        self.command = [str(server), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        if durable:
            self.command += ["--appendonly", "yes", "--appendfsync", "always"]

    def ready(self) -> object:
        return self.client.ping()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.text))


class App(Process):
    def __init__(self, directory: Path, instance: str, database_url: str, redis_url: str, workers: int = 1) -> None:
        self.directory = directory
        self.port = free_port()
        self.command = [sys.executable, "-m", "hits"]
        self.environ = {
            **os.environ,
            "PYTHONPATH": str(FILES),
            "PYTHONDONTWRITEBYTECODE": "1",
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "INSTANCE_ID": instance,
            "PORT": str(self.port),
            "WORKERS": str(workers),
        }

    def ready(self) -> object:
        return self.get("/healthz").status == 200

    def get(self, path: str = "/api/hits") -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read().decode())
        finally:
            connection.close()

    def total(self) -> int:
        """Make a hit and return the total that it was shown."""
        answer = self.get()
        assert answer.status == 200, answer
        return int(answer.json["total"])


@contextmanager
def directory() -> Iterator[Path]:
    # Not pytest's own, which PostgreSQL's user cannot enter
    with tempfile.TemporaryDirectory(prefix="hits-test-", ignore_cleanup_errors=True) as path:
        yield Path(path)


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    with directory() as path:
        server = Postgres(path)
        server.start()
        server.query("CREATE DATABASE hits", "postgres")
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def running_redis(*, durable: bool = False) -> Iterator[Redis]:
    with directory() as path:
        server = Redis(path, durable=durable)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def running_app(instance: str, database_url: str, redis_url: str, workers: int = 1) -> Iterator[App]:
    with directory() as path:
        app = App(path, instance, database_url, redis_url, workers)
        app.start()
        try:
            yield app
        finally:
            app.stop()


def on_record(postgres: Postgres, database: str = "hits") -> int:
    [[total, minutes]] = postgres.query(
        "SELECT (SELECT sum(hits) FROM instances)::bigint, (SELECT sum(hits) FROM hits)::bigint", database
    )
    assert total == minutes
    return int(total)
