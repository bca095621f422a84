# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a new HAProxy process takes over from the former one, and what it must not."""

from __future__ import annotations

import re
import socket
import subprocess
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from haproxy_role import ROLE, SERVERS, place, render
from support.waiting import wait_until

HEAD = """\
global
    server-state-file {folder}/state
    stats socket {folder}/admin.sock level admin
defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s
    load-server-state-from-file global
    default-server inter 1h
backend app
"""


@pytest.fixture
def unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script haproxy-unit, with its files in a folder of the test."""
    spec = spec_from_file_location("haproxy_unit", ROLE / "files" / "haproxy_unit.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    spec.loader.exec_module(module)
    module.STATE = f"{tmp_path}/state"
    module.CONFIG = f"{tmp_path}/haproxy.cfg"
    module.ADMIN = f"{tmp_path}/admin.sock"
    return module


def servers(unit: ModuleType, program: str, lines: str, *commands: str) -> dict[str, dict[str, str]]:
    """Prepare and start a process, give it commands, note its states, end it; return what it says of its servers."""
    folder = Path(unit.CONFIG).parent
    Path(unit.CONFIG).write_text(HEAD.format(folder=folder) + lines)
    unit.prepare()
    process = subprocess.Popen([program, "-f", unit.CONFIG], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until("an answer, or its end", lambda: process.poll() is not None or unit.ask(unit.ADMIN, "show info"))
        for command in commands:
            assert unit.ask(unit.ADMIN, command).strip() == ""
        unit.save()
        head, *rows = unit.ask(unit.ADMIN, "show servers state app").strip().splitlines()[1:]
    finally:
        process.kill()
        process.wait()
    Path(unit.ADMIN).unlink()
    named = [dict(zip(head[2:].split(), row.split(), strict=True)) for row in rows]
    return {row["srv_name"]: row for row in named}


def test_new_port_and_tls_are_in_effect_and_the_operators_word_holds(unit: ModuleType, haproxy_program: str) -> None:
    plain = """\
    server one 127.0.0.1:9001 check weight 100
    server two 127.0.0.1:9002 check weight 100 ssl verify none port 9100
    server three localhost:9003 check weight 100
"""
    said = ("set server app/one state drain", "set server app/two state maint", "set weight app/three 50%")
    before = servers(unit, haproxy_program, plain, *said)
    assert [before["two"]["srv_use_ssl"], before["two"]["srv_check_port"]] == ["1", "9100"]

    other = """\
    default-server check weight 100 ssl verify none port 9200
    server one 127.0.0.1:9101
    server two 127.0.0.1:9102 no-ssl
    server three localhost:9103 port 9300
peers others
    peer here 127.0.0.1:9400
    server one 127.0.0.1:9401
"""
    after = servers(unit, haproxy_program, other)

    fields = ("srv_port", "srv_use_ssl", "srv_check_port")
    assert {name: [row[field] for field in fields] for name, row in after.items()} == {
        "one": ["9101", "1", "9200"],
        "two": ["9102", "0", "9200"],
        "three": ["9103", "1", "9300"],
    }
    # Drain is 8, maint 1
    assert [after["one"]["srv_admin_state"], after["two"]["srv_admin_state"]] == ["8", "1"]
    assert after["three"]["srv_uweight"] == "50"


def test_a_port_of_the_admin_socket_does_not_outlive_a_reload(unit: ModuleType, haproxy_program: str) -> None:
    lines = "    server one 127.0.0.1:9001 check\n"
    moved = unit.fit("1\n# be_id be_name srv_name srv_port\n2 app one 9999\n", {("app", "one"): {"srv_port": "9001"}})

    assert moved.splitlines()[-1] == "2 app one 9001"
    assert servers(unit, haproxy_program, lines)["one"]["srv_port"] == "9001"


@pytest.mark.parametrize("noted", [None, "", "1\n", "what a full disk left"])
def test_a_start_has_a_state_file_that_haproxy_reads(unit: ModuleType, haproxy_program: str, noted: str | None) -> None:
    if noted is not None:
        Path(unit.STATE).write_text(noted)

    assert set(servers(unit, haproxy_program, "    server one 127.0.0.1:9001 check\n")) == {"one"}


def test_no_answer_leaves_no_old_state(unit: ModuleType) -> None:
    Path(unit.CONFIG).write_text("")
    Path(unit.STATE).write_text("1\n# be_id be_name srv_name\n2 app one\n")
    with pytest.raises(OSError, match="No such file"):
        socket.socket(socket.AF_UNIX).connect(unit.ADMIN)
    unit.save()

    assert Path(unit.STATE).read_text() == "1\n"


def test_check_without_a_certificate_leaves_it_where_it_is(
    unit: ModuleType, haproxy_program: str, etc: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unit.PROGRAM = haproxy_program
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    file = str(place(render(haproxy_bind=f"127.0.0.1:{port} ssl crt /etc/haproxy/certs/"), etc))
    certificate = etc / "certs" / "site.pem"
    unit.check(file)
    with pytest.raises(SystemExit):
        unit.check(file, [str(certificate), str(etc / "certs" / "never.pem")])

    assert "no SSL certificate" in capsys.readouterr().err
    assert [path.name for path in certificate.parent.iterdir()] == ["site.pem"]


@pytest.mark.parametrize(
    ("settings", "says", "line"),
    [
        ({"haproxy_balance": "roundrobbin"}, "balance only supports 'roundrobin', 'static-rr',", "roundrobbin"),
        ({"haproxy_cookie": "S insert rewrite"}, "'insert' and 'prefix' modes are incompatible", "S insert rewrite"),
        ({"haproxy_bind": "*:80000"}, "invalid port '80000'", "*:80000"),
        ({"haproxy_timeout_tunnel": "25d"}, "timer overflow in argument '25d'", "tunnel          25d"),
        ({"haproxy_servers": SERVERS[:1] * 2}, "another server named 'app-1' was already defined", "server app-1 "),
        ({"haproxy_servers": [{**SERVERS[0], "weight": 300}]}, "is not within 0 and 256 (300)", "weight 300"),
        ({"haproxy_deny": ["evil.example"]}, "'evil.example' is not a valid IPv4 or IPv6 address", "evil.example"),
        ({"haproxy_stick": "on src"}, "unable to find stick-table 'app'", ""),
        ({"haproxy_error_pages": {"418": "tea.html"}}, "status code '418' not handled", "status 418"),
    ],
)
def test_haproxys_own_message_is_shown_with_the_line_that_it_means(
    unit: ModuleType,
    haproxy_program: str,
    etc: Path,
    capsys: pytest.CaptureFixture[str],
    settings: dict[str, Any],
    says: str,
    line: str,
) -> None:
    unit.PROGRAM = haproxy_program
    with pytest.raises(SystemExit) as end:
        unit.check(str(place(render(**settings), etc)))

    said = capsys.readouterr().err
    assert end.value.code == 1
    assert said.count(says) == 1
    assert "[haproxy.cfg:" in said or not line
    assert not line or re.search(rf"    line \d+: .*{re.escape(line)}", said)
