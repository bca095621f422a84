# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a new HAProxy process takes over from the former one, and which files it reads: the new ones, or the former."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from haproxy_role import ROLE, SERVERS, place, render
from support.programs import find_program
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
    module.FOLDER = tmp_path / "etc" / "haproxy"
    module.CERTIFICATES = module.FOLDER / "certs"
    module.LIST = module.FOLDER / "files-of-ansible"
    module.FORMER = module.FOLDER / ".former"
    module.DROP_IN = tmp_path / "etc" / "scaleout.conf"
    module.NEXT = tmp_path / "next"
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


def write(root: Path, files: dict[Path, str]) -> None:
    """Write files by their paths, or below another root."""
    for path, text in files.items():
        file = root / path.relative_to("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def snapshot(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """All files and folders, with modes, dates and contents."""
    return {
        str(path): (path.stat().st_mode, path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in sorted(root.rglob("*"))
    }


class Systemctl:
    """Answers in place of systemd, and notes what it was told."""

    def __init__(self, reload_status: int) -> None:
        self.reload_status = reload_status
        self.told: list[str] = []

    def __call__(self, *command: str) -> subprocess.CompletedProcess[str]:
        if command[0] == "systemctl" and command[1] != "show":
            self.told.append(command[1])
        status = self.reload_status if "reload-or-restart" in command else 0
        return subprocess.CompletedProcess(command, status, "Job for haproxy.service failed.\n" if status else "")


@pytest.fixture
def staged(unit: ModuleType) -> dict[Path, Path | None]:
    """Changes of a host that has files of the role, of others, and of the user who no longer lists one."""
    folder, certs = unit.FOLDER, unit.CERTIFICATES
    listed = [certs / "one.pem", certs / "gone.pem", folder / "files" / "same.map"]
    before = {
        folder / "haproxy.cfg": "before",
        certs / "one.pem": "before",
        certs / "gone.pem": "before",
        certs / "of-a-hook.pem": "a hook's",
        folder / "files" / "same.map": "same",
        unit.DROP_IN: "before",
        unit.LIST: "".join(f"{path}\n" for path in listed) + "/etc/passwd\n",
    }
    after = {
        folder / "haproxy.cfg": "after",
        certs / "one.pem": "after",
        certs / "new.pem": "after",
        folder / "files" / "same.map": "same",
        unit.DROP_IN: "after",
        unit.LIST: "".join(f"{path}\n" for path in [certs / "one.pem", certs / "new.pem", listed[2]]),
    }
    write(Path("/"), before)
    write(unit.NEXT, after)
    (unit.FOLDER / "haproxy.cfg").chmod(0o640)
    Path(unit.CONFIG).write_text("")
    for path in (folder, certs):
        os.utime(path, ns=(1, 1))
    changes: dict[Path, Path | None] = unit.staged_changes()
    return changes


def test_what_differs_is_replaced_and_what_the_role_no_longer_lists_goes(
    unit: ModuleType, staged: dict[Path, Path | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    systemctl = Systemctl(0)
    monkeypatch.setattr(unit, "run", systemctl)
    same = unit.FOLDER / "files" / "same.map"
    stat = same.stat()
    unit.put_into_effect(staged, reload_anyway=False)

    certificates = {path.name: path.read_text() for path in unit.CERTIFICATES.iterdir()}
    assert certificates == {"one.pem": "after", "new.pem": "after", "of-a-hook.pem": "a hook's"}
    assert (unit.FOLDER / "haproxy.cfg").read_text() == "after"
    assert same.stat() == stat
    assert Path("/etc/passwd").exists()
    assert not unit.FORMER.exists()
    assert systemctl.told == ["daemon-reload", "reload-or-restart"]


@pytest.mark.parametrize("at", ["a file that can't be written", "a file that can't be replaced", "reload"])
def test_every_file_is_the_former_one_where_a_change_fails(
    unit: ModuleType, staged: dict[Path, Path | None], monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    systemctl = Systemctl(1)
    monkeypatch.setattr(unit, "run", systemctl)
    root = unit.FOLDER.parent
    before = snapshot(root)
    if at == "a file that can't be written":

        def full(new: Path, path: Path, copy: Any = shutil.copy2) -> None:
            copy(new, path)
            if "one.pem" in path.name:
                raise OSError(28, "No space left on device")

        monkeypatch.setattr(shutil, "copy2", full)
    elif at == "a file that can't be replaced":
        # The last one to be replaced
        (unit.CERTIFICATES / "gone.pem").unlink()
        (unit.CERTIFICATES / "gone.pem").mkdir()
        os.utime(unit.CERTIFICATES, ns=(1, 1))
        before = snapshot(root)

    with pytest.raises((unit.Refused, OSError)) as error:
        unit.put_into_effect(staged, reload_anyway=False)

    assert snapshot(root) == before
    assert ("haproxy.service failed" in str(error.value)) == (at == "reload")
    # The last word that systemd has is of the former files
    assert systemctl.told[-1:] == ["daemon-reload"]


def test_files_that_are_not_all_back_are_kept_and_named(
    unit: ModuleType, staged: dict[Path, Path | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit, "run", Systemctl(1))

    def refuse(old: Path, new: Path, replace: Any = os.replace) -> None:
        if unit.FORMER in old.parents:
            raise OSError(30, "Read-only file system")
        replace(old, new)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(SystemExit) as end:
        unit.put_into_effect(staged, reload_anyway=False)

    assert f"Not all could be put back ([Errno 30] Read-only file system). What is missing is in {unit.FORMER}" in str(
        end.value
    )
    name = str(unit.CERTIFICATES / "one.pem").replace("/", "!")
    assert (unit.FORMER / name).read_text() == "before"


@pytest.mark.parametrize(
    ("bind", "there", "going_to_be", "wanted"),
    [
        ("*:443 ssl crt {}/", [], [], True),
        ("*:443 ssl crt {} alpn h2", [], [], True),
        ("*:443 ssl crt {}/", [], ["site.pem"], False),
        # What HAProxy reads with a certificate, or not at all, is none
        ("*:443 ssl crt {}/", [], [".site.pem", "site.pem.key", "site.pem.ocsp", "~placeholder.pem"], True),
        # A certificate that was there is missing now: HAProxy says so
        ("*:443 ssl crt {}/", ["site.pem"], [], False),
        # A name that may be mistyped
        ("*:443 ssl crt {}/stie.pem", [], [], False),
        ("*:443 ssl crt {}/internal/", [], [], False),
        ("*:443 ssl crt /etc/ssl/others/", [], [], False),
        ("*:80", [], [], False),
    ],
)
def test_placeholder_is_for_a_folder_that_never_had_a_certificate(
    unit: ModuleType, tmp_path: Path, bind: str, there: list[str], going_to_be: list[str], wanted: bool
) -> None:
    copy = tmp_path / "copy"
    for folder, names in ((unit.CERTIFICATES, there), (copy / "certs", going_to_be)):
        folder.mkdir(parents=True)
        for name in names:
            (folder / name).write_text("")
    text = f"frontend public\n    bind {bind.format(unit.CERTIFICATES)}\n"

    assert list(unit.uncertified(text, copy)) == ([unit.CERTIFICATES] if wanted else [])


def test_haproxy_starts_with_a_placeholder_and_prefers_every_other_certificate(
    unit: ModuleType, haproxy_program: str, etc: Path, tmp_path: Path
) -> None:
    find_program("openssl")
    certs = tmp_path / "certs"
    certs.mkdir()
    unit.make_placeholder(certs / unit.PLACEHOLDER)
    file = tmp_path / "haproxy.cfg"
    address = f"{tmp_path}/tls.sock"
    file.write_text(
        f"defaults\n    timeout client 1s\nfrontend a\n    mode http\n    bind unix@{address} ssl crt {certs}/\n"
    )

    def shown() -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(address)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(connection) as session:
                return ssl.DER_cert_to_PEM_cert(session.getpeercert(binary_form=True) or b"")

    for name in (unit.PLACEHOLDER, "zzz.pem"):
        if name == "zzz.pem":
            shutil.copy(etc / "certs" / "site.pem", certs / name)
        process = subprocess.Popen([haproxy_program, "-f", str(file)], stderr=subprocess.DEVNULL)
        try:
            wait_until("an answer", shown)
            assert shown().strip() in (certs / name).read_text()
        finally:
            process.kill()
            process.wait()
    assert (certs / unit.PLACEHOLDER).stat().st_mode & 0o777 == 0o600


def at_a_terminal(program: str, unit: ModuleType, *arguments: str) -> tuple[int, str]:
    """Run a function of haproxy-unit where OpenSSL could ask at a terminal, and nobody answers."""
    code = "import pty, sys, os; sys.exit(os.waitstatus_to_exitcode(pty.spawn([sys.executable, '-Bc', sys.argv[1]])))"
    inner = (
        f"import sys; sys.path.insert(0, {str(ROLE / 'files')!r}); import haproxy_unit as unit\n"
        f"unit.PROGRAM = {program!r}\n"
        f"try: unit.{arguments[0]}({arguments[1]!r})\n"
        "except unit.Refused as error: sys.exit(str(error))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, inner],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=20,
    )
    return done.returncode, done.stdout


def test_key_with_a_passphrase_is_refused_and_nobody_is_asked(
    unit: ModuleType, haproxy_program: str, tmp_path: Path
) -> None:
    pem, key, file = tmp_path / "site.pem", tmp_path / "key", tmp_path / "haproxy.cfg"
    openssl = [
        find_program("openssl"),
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-subj",
        "/CN=a",
        "-passout",
        "pass:secret",
    ]
    subprocess.run([*openssl, "-keyout", str(key), "-out", str(pem)], check=True, capture_output=True)
    pem.write_text(pem.read_text() + key.read_text())
    file.write_text(f"frontend a\n    mode http\n    timeout client 1s\n    bind unix@{tmp_path}/s ssl crt {pem}\n")

    status, said = at_a_terminal(haproxy_program, unit, "check_certificate", str(pem))
    assert (status, said.strip()) == (
        1,
        "its key has a passphrase, and HAProxy cannot ask for it: write the key without one",
    )
    # One that somebody else put there
    status, said = at_a_terminal(haproxy_program, unit, "check", str(file))
    assert status == 1
    assert re.search("(?i)private key", said), said


def test_what_haproxy_warns_of_is_returned(unit: ModuleType, haproxy_program: str, etc: Path) -> None:
    unit.PROGRAM = haproxy_program
    peers = ["peers lbs", "    peer lb-9 127.0.0.1:9810"]
    Path(unit.STATE).write_text("1\n")

    def warnings(**settings: Any) -> list[str]:
        text = render(haproxy_bind=f"unix@{etc}/s", **settings).replace("/run/haproxy/server-state", unit.STATE)
        said: list[str] = unit.check(str(place(text, etc)))
        return said

    assert warnings() == []
    [said] = warnings(haproxy_extra=peers)
    assert "Removing incomplete section 'peers lbs'" in said


@pytest.mark.parametrize(("bind", "family"), [("192.0.2.80:8099", "AF_INET"), ("[2001:db8::80]:8099", "AF_INET6")])
def test_address_that_is_not_there_is_refused_unless_the_kernel_is_going_to_allow_it(
    unit: ModuleType, bind: str, family: str
) -> None:
    text = f"frontend a\n    bind {bind}\n"

    assert unit.taken_addresses(text, "haproxy.cfg") == [
        f"cannot bind {bind}: Cannot assign requested address [haproxy.cfg:2]"
    ]
    assert unit.taken_addresses(text, "haproxy.cfg", [socket.AddressFamily[family]]) == []


def test_parameters_of_the_kernel_are_read_as_systemd_reads_them(unit: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "60-haproxy.conf"
    file.write_text("# Ansible managed\nnet.core.somaxconn = 8192\n-net.ipv4.ip_nonlocal_bind=1\n\n")

    assert unit.kernel_parameters(file) == {"net.core.somaxconn": "8192", "net.ipv4.ip_nonlocal_bind": "1"}


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
    settings: dict[str, Any],
    says: str,
    line: str,
) -> None:
    unit.PROGRAM = haproxy_program
    with pytest.raises(unit.Refused) as refused:
        unit.check(str(place(render(**settings), etc)))

    said = str(refused.value)
    assert said.count(says) == 1
    assert "[haproxy.cfg:" in said or not line
    assert not line or re.search(rf"    line \d+: .*{re.escape(line)}", said)
