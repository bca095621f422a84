# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a HAProxy that starts takes its servers for, before a check has an answer."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from pathlib import Path

import pytest
from haproxy_role import ROLE
from support.waiting import wait_until

CONFIG = """
global
    stats socket {here}/admin level admin
    server-state-file {here}/state
    lua-load {here}/wait-for-server.lua
defaults
    mode http
    timeout connect 1m
    timeout client 1m
    timeout server 1m
    timeout check 1m
    load-server-state-from-file global
frontend web
    bind unix@{here}/web
    default_backend asked
backend asked
    option httpchk GET /readyz
    server one 127.0.0.1:{port} check
    server out 127.0.0.1:{port} check disabled
    server unasked 127.0.0.1:{port}
backend bytes
    mode tcp
    server two 127.0.0.1:{port} check
"""
NAMES = (
    "be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
    "srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state "
    "srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port "
    "srv_check_addr srv_agent_addr srv_agent_port"
)


def statuses(path: Path) -> dict[str, str]:
    """The first word of each server's status; nothing while nobody answers."""
    answer = b""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(b"show stat -1 4 -1\n")
        while part := connection.recv(65536):
            answer += part
    rows = [line.split(",") for line in answer.decode().splitlines()[1:] if line]
    return {row[1]: row[17].split()[0] for row in rows}


@pytest.mark.parametrize(("noted", "status"), [(None, "DOWN"), ("", "DOWN"), ("3 asked 1 one {}", "UP")])
def test_server_is_down_until_it_was_asked_unless_a_former_process_knows_it(
    haproxy_program: str, tmp_path: Path, noted: str | None, status: str
) -> None:
    lua = (ROLE / "files" / "wait-for-server.lua").read_text()
    assert '"/run/haproxy/server-state"' in lua
    (tmp_path / "wait-for-server.lua").write_text(lua.replace("/run/haproxy/server-state", f"{tmp_path}/state"))
    # It takes connections, and answers nothing
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if noted is not None:
            row = noted.format(f"127.0.0.1 2 0 1 1 9 15 3 4 6 0 0 0 - {port} - 0 0 - - 0")
            (tmp_path / "state").write_text(f"1\n# {NAMES}\n{row}\n")
        (tmp_path / "haproxy.cfg").write_text(CONFIG.format(here=tmp_path, port=port))
        process = subprocess.Popen(
            [haproxy_program, "-db", "-f", str(tmp_path / "haproxy.cfg")],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            wait_until("statuses", lambda: process.poll() is not None or statuses(tmp_path / "admin"))
            found = statuses(tmp_path / "admin")
        finally:
            process.kill()
            output = process.communicate()[0]

    assert found == {"one": status, "out": "MAINT", "unasked": "no", "two": "UP"}, output
