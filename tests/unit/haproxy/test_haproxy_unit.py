# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a new HAProxy process takes over from the former one, and what it must not."""

from __future__ import annotations

import socket
import subprocess
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest
from haproxy_role import ROLE
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
    loader = SourceFileLoader("haproxy_unit", str(ROLE / "files" / "haproxy-unit"))
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    spec = spec_from_loader("haproxy_unit", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
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
