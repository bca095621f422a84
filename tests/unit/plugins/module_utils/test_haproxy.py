# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import socket
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.alphacoder.scaleout.plugins.module_utils import _haproxy
from ansible_collections.alphacoder.scaleout.plugins.module_utils._haproxy import (
    BACKEND,
    SERVER,
    Client,
    HaproxyError,
    Server,
)
from haproxy_servers import FakeSocket, RealHaproxy

INFO = b"1.Version.1:POS:str:3.0.11\n6.Pid.1:SGP:u32:7\n\n"
ROW = (
    b"S.3.1.0.pxname.1:KNS:str:app\nS.3.1.1.svname.1:KNS:str:app-1\nS.3.1.4.scur.1:MGP:u32:5\n"
    b"S.3.1.56.last_chk.1:MOP:str:one: two, three\nfour\n\n"
)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_haproxy, "RETRY_SECONDS", 0.01)


def refused(address: str) -> str:
    with pytest.raises(HaproxyError) as raised:
        Client(address).info()
    assert "\n" not in str(raised.value)
    return str(raised.value)


class TestAddress:
    @pytest.mark.parametrize("address", ["admin.sock", "", ":1", "host:", "host:0", "host:65536", "host:x"])
    def test_neither_a_path_nor_host_and_port(self, address: str) -> None:
        assert refused(address) == (
            f"socket is {address!r}, but it must be the path of a UNIX socket (/...) or host:port."
        )

    def test_a_host_without_address(self) -> None:
        assert "its host can't be found" in refused("no.such.host.invalid:9999")

    def test_a_path_that_is_too_long(self) -> None:
        assert "path too long" in refused(f"/{'x' * 200}")

    def test_no_such_file(self, tmp_path: Path) -> None:
        assert refused(str(tmp_path / "none")).startswith(f"There is no socket {tmp_path}/none on this host: ")

    def test_a_file_of_another_kind(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        assert refused(str(tmp_path / "file")) == f"{tmp_path}/file is a file, but not a socket."

    def test_a_socket_that_nobody_listens_at(self, fake_socket: FakeSocket) -> None:
        fake_socket.close()
        assert refused(fake_socket.path) == (
            f"HAProxy does not answer at the socket {fake_socket.path}: Connection refused. Is it running?"
        )

    def test_a_port_that_nobody_listens_at(self) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
            assert f"can't be reached at 127.0.0.1:{port}: Connection refused" in refused(f"127.0.0.1:{port}")

    def test_a_socket_of_somebody_else(self, monkeypatch: pytest.MonkeyPatch, fake_socket: FakeSocket) -> None:
        def connect(_self: socket.socket, _where: t.Any) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        # Root, who may run the tests, may open every socket
        monkeypatch.setattr(socket.socket, "connect", connect)
        assert ": Permission denied. Set 'become: true'" in refused(fake_socket.path)


class TestAnswer:
    def test_in_pieces(self, fake_socket: FakeSocket) -> None:
        def bytewise(connection: socket.socket) -> None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            for byte in INFO:
                connection.sendall(bytes([byte]))

        fake_socket.answers = {"show info typed": bytewise}
        assert Client(fake_socket.path).info() == {"Version": "3.0.11", "Pid": 7}

    def test_that_never_comes(self, fake_socket: FakeSocket, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_haproxy, "ANSWER_SECONDS", 0.1)
        over = threading.Event()
        fake_socket.answers = {"show": lambda _connection: t.cast("None", over.wait(10))}
        assert "gave no complete answer to 'show info typed' within 0.1 s" in refused(fake_socket.path)
        assert len(fake_socket.asked) == 1
        over.set()

    def test_that_never_ends(self, fake_socket: FakeSocket, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_haproxy, "ANSWER_SECONDS", 0.1)

        def endless(connection: socket.socket) -> None:
            while True:
                connection.sendall(INFO)

        fake_socket.answers = {"show": endless}
        assert "gave no complete answer" in refused(fake_socket.path)

    @pytest.mark.parametrize(
        "said", [b"SSH-2.0-OpenSSH_9.2\r\n", b"\x00\xff\xfe" * 99, b"\n", b"Version: 3.0\nPid: 7\n"]
    )
    def test_of_something_else(self, fake_socket: FakeSocket, said: bytes) -> None:
        fake_socket.answers = {"show": said}
        text = refused(fake_socket.path)
        assert text.startswith(f"{fake_socket.path} does not speak HAProxy's runtime API: ")
        assert len(text) < 500

    def test_of_something_else_to_every_question(self, fake_socket: FakeSocket) -> None:
        fake_socket.answers = {"show": b"1.2.3\nfoo bar\n"}
        client = Client(fake_socket.path)
        for ask in (client.info, client.backends, client.servers):
            with pytest.raises(HaproxyError, match=r"does not speak HAProxy's runtime API: '1\.2\.3'"):
                ask()

    def test_a_short_line_of_states(self, fake_socket: FakeSocket) -> None:
        fake_socket.answers = {
            "show info": b"6.Pid.1:SGP:u32:7\n",
            "show servers state": b"1\n# be_name srv_name srv_admin_state\napp app-1\n",
            "show stat": b"",
        }
        with pytest.raises(HaproxyError, match="does not speak HAProxy's runtime API: 'app app-1'"):
            Client(fake_socket.path).servers()

    def test_a_level_that_is_too_low(self, fake_socket: FakeSocket) -> None:
        fake_socket.answers = {"set": b"Permission denied\n\n"}
        with pytest.raises(
            HaproxyError, match=r"Permission denied\. The level of socket .* must say 'stats socket ... level admin'"
        ):
            Client(fake_socket.path).set_state("app/app-1", "drain")

    def test_a_masters_socket(self, fake_socket: FakeSocket) -> None:
        fake_socket.answers = {"show": b"Unknown command: 'show stat', but maybe one of the following ones\n"}
        assert "is it the master's socket?" in refused(fake_socket.path)

    def test_is_asked_for_again_after_a_reload(self, fake_socket: FakeSocket) -> None:
        fake_socket.answers = {"show info": [b"", b"", INFO]}
        assert Client(fake_socket.path).info()["Pid"] == 7
        assert len(fake_socket.asked) == 3

    def test_none_again_and_again(self, fake_socket: FakeSocket) -> None:
        fake_socket.answers = {"show info": b""}
        assert "closed the connection without an answer to 'show info typed'" in refused(fake_socket.path)

    @pytest.mark.parametrize("answer", [ROW, ROW.replace(b":str:", b"V:str:").replace(b":u32:", b"P:u32:")])
    def test_of_any_version_and_with_a_check_that_spans_lines(self, fake_socket: FakeSocket, answer: bytes) -> None:
        # HAProxy 3.3 and later say with one more letter whether a value outlives a reload
        fake_socket.answers = {"show stat": answer}
        [row] = Client(fake_socket.path).rows(SERVER, "app")
        assert row == {"pxname": "app", "svname": "app-1", "scur": 5, "last_chk": "one: two, three\nfour"}


@pytest.mark.parametrize(
    ("admin", "op", "state", "inherits", "up"),
    [
        (0, 2, "ready", False, True),
        (0, 1, "ready", False, True),
        (0, 0, "ready", False, False),
        (0, 3, "ready", False, False),
        (1, 0, "maint", False, False),
        (5, 0, "maint", False, False),
        (4, 2, "ready", False, True),
        (8, 2, "drain", False, False),
        (9, 0, "maint", False, False),
        (2, 0, "ready", True, False),
        (16, 2, "ready", True, False),
        (32, 0, "ready", False, False),
        (64, 2, "ready", False, True),
    ],
)
def test_admin_states(admin: int, op: int, state: str, inherits: bool, up: bool) -> None:
    server = Server({}, {"srv_admin_state": str(admin), "srv_op_state": str(op)})
    assert (server.state, server.inherits, server.up) == (state, inherits, up)


@pytest.mark.parametrize(
    ("status", "code", "found"),
    [("L7OK", 200, 200), ("* L7OK", 200, 200), ("* L7OK", 0, None), ("L7OK", 0, 0), ("L4CON", None, None)],
)
def test_code_of_a_check(status: str, code: int | None, found: int | None) -> None:
    stats = {"pxname": "app", "svname": "app-1", "check_status": status, "check_code": code}
    known = {"srv_admin_state": "0", "srv_uweight": "1", "srv_iweight": "1"}
    check = Server(stats, known).facts()["check"]

    assert (check["status"], check["code"]) == (status.removeprefix("* "), found)


class TestRealHaproxy:
    @pytest.mark.parametrize("level", ["admin", "operator", "user", "tcp"])
    def test_each_socket(self, haproxy: RealHaproxy, level: str) -> None:
        address = f"127.0.0.1:{haproxy.port}" if level == "tcp" else str(haproxy.here / level)
        client = Client(address)
        assert client.info()["Pid"] == haproxy.processes[0].pid
        assert client.backends() == ["app", "plain", "empty"]
        assert [server.name for server in client.servers()] == ["app-1", "app-2", "follower", "unchecked", "off"]
        assert [server.state for server in client.servers("plain")] == ["ready", "maint"]
        assert client.servers("empty") == []
        assert client.rows(BACKEND, "app")[0]["status"] == "UP"

    def test_what_it_refuses(self, haproxy: RealHaproxy) -> None:
        client = Client(haproxy.socket)
        with pytest.raises(HaproxyError, match=r"refused 'set server app/none state drain': No such server"):
            client.set_state("app/none", "drain")
        with pytest.raises(HaproxyError, match=r"refused 'set server app/app-1 weight 300': Absolute weight"):
            client.set_weight("app/app-1", "300")
        with pytest.raises(HaproxyError, match=r"No such proxy|find backend"):
            client.servers("none")
