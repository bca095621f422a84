# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program haproxy-log, with a pipe and a file of the test."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

PROGRAM = Path(__file__).resolve().parents[3] / "roles" / "haproxy" / "files" / "haproxy-log"


class Log:
    """A running program, its log, and a pipe that is open on both sides as systemd keeps it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "haproxy.log"
        self.said = folder / "said"
        self.program = folder / "haproxy-log"
        self.program.write_text(PROGRAM.read_text().replace('"/var/log/haproxy.log"', repr(str(self.file))))
        self.pipe, self._writer = os.pipe()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.said.open("a") as said:
            self.process = subprocess.Popen([sys.executable, str(self.program)], stdin=self.pipe, stderr=said)

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=10)

    def write(self, text: str) -> None:
        os.write(self._writer, text.encode())

    def wait_for(self, what: str, holds: Callable[[], bool]) -> None:
        deadline = monotonic() + 10
        while not holds():
            assert monotonic() < deadline, f"no {what}: {self.text()!r}, {self.said.read_text()!r}"
            sleep(0.01)

    def text(self) -> str:
        return self.file.read_text() if self.file.exists() else ""


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path)
    yield log
    if log.process:
        log.process.kill()
        log.process.wait()


def test_lines_are_kept_in_order(log: Log) -> None:
    log.start()
    log.write("first\nsecond\n")
    log.wait_for("lines", lambda: log.text() == "first\nsecond\n")
    log.write("third\n")
    log.wait_for("line", lambda: log.text() == "first\nsecond\nthird\n")
    assert log.file.stat().st_mode & 0o777 == 0o640


def test_it_goes_on_in_a_new_file_at_sighup(log: Log) -> None:
    log.start()
    log.write("before\n")
    log.wait_for("line", lambda: log.text() == "before\n")
    log.file.rename(log.file.with_suffix(".1"))
    assert log.process is not None
    log.process.send_signal(signal.SIGHUP)
    log.wait_for("new file", lambda: log.file.exists())
    log.write("after\n")
    log.wait_for("line in the new file", lambda: log.text() == "after\n")
    assert log.file.with_suffix(".1").read_text() == "before\n"


def test_systemd_is_told_once_it_takes_signals(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        log.start()
        assert systemd.recv(100) == b"READY=1"
    assert log.process is not None
    log.process.send_signal(signal.SIGHUP)
    log.write("line\n")
    log.wait_for("line", lambda: log.text() == "line\n")


def test_no_line_is_lost_where_it_ends_and_another_goes_on(log: Log) -> None:
    expected = ""
    for turn in range(5):
        log.start()
        for number in range(200):
            log.write(f"{turn} {number}\n")
            expected += f"{turn} {number}\n"
        # By the signal where it had not begun to read
        assert log.stop() in (0, -signal.SIGTERM)
    log.start()
    log.wait_for("lines", lambda: log.text() == expected)


def test_full_disk_is_told_once_and_it_still_ends(log: Log) -> None:
    log.file.symlink_to("/dev/full")
    log.start()
    log.write("line\n")
    log.wait_for("word of it", lambda: "No space left on device" in log.said.read_text())
    assert log.stop() == 0
    assert log.said.read_text().count("\n") == 1
