# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host is a folder of this machine, with a cloud-init that is a script and locks that a process really holds."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import typing as t
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from ansible.module_utils import basic
from ansible_collections.alphacoder.scaleout.plugins.modules import first_boot

# What dpkg and apt do to their lock files
HOLD = """import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""
DEGRADED = """.....
status: done
extended_status: degraded done
recoverable_errors:
WARNING:
        - Unable to reach the metadata
"""
EXPECTED_DEGRADED = [
    "status: done",
    "extended_status: degraded done",
    "recoverable_errors:",
    "WARNING:",
    "- Unable to reach the metadata",
]


class Host:
    """A folder with what the module looks at."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.run_folder, self.bin, self.lock = folder / "run", folder / "bin", folder / "lock-frontend"
        self.asked = folder / "asked"
        self.monkeypatch, self.capsys = monkeypatch, capsys
        self.bin.mkdir()
        monkeypatch.setenv("PATH", f"{self.bin}:/usr/bin:/bin")
        monkeypatch.setattr(first_boot, "CLOUD_INIT", self.run_folder)
        monkeypatch.setattr(first_boot, "LOCKS", (folder / "missing", self.lock))
        monkeypatch.setattr(first_boot, "POLL", 0.05)
        monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        self.warnings: list[str] = []
        monkeypatch.setattr(basic.AnsibleModule, "warn", lambda _self, text: self.warnings.append(text))

    def cloud_init(self, script: str) -> None:
        program = self.bin / "cloud-init"
        program.write_text(f'#!/bin/sh\necho "$@" >{self.asked}\n{script}\n')
        program.chmod(0o755)

    def file(self, name: str, **content: t.Any) -> None:
        self.run_folder.mkdir(exist_ok=True)
        draft = self.run_folder / "draft"
        draft.write_text(json.dumps({"v1": content}))
        draft.rename(self.run_folder / name)

    @contextmanager
    def locked(self) -> Iterator[subprocess.Popen[str]]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(self.lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdin
        assert process.stdout
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.stdin.close()
            process.wait()
            process.stdout.close()

    def wait(self, timeout: int = 5) -> dict[str, t.Any]:
        """Run the module."""
        arguments = json.dumps({"ANSIBLE_MODULE_ARGS": {"timeout": timeout}}).encode()
        self.monkeypatch.setattr(basic, "_ANSIBLE_ARGS", arguments)
        with pytest.raises(SystemExit):
            first_boot.main()
        result = t.cast("dict[str, t.Any]", json.loads(self.capsys.readouterr().out))
        assert set(result) >= {"changed", *yaml.safe_load(first_boot.RETURN)}
        assert not result["changed"]
        return result


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Host:
    return Host(tmp_path, monkeypatch, capsys)


def test_host_without_cloud_init_is_ready(host: Host) -> None:
    result = host.wait(0)
    assert (result["cloud_init"], result["errors"], result.get("failed")) == ("none", [], None)


def test_cloud_init_that_did_not_run_is_not_waited_for(host: Host) -> None:
    host.cloud_init("sleep 60")
    assert host.wait()["cloud_init"] == "not run"
    assert not host.asked.exists()


def test_end_of_cloud_init_is_waited_for(host: Host) -> None:
    host.file("status.json", stage="modules-final")
    host.cloud_init("printf '....\\nstatus: done\\n'")
    result = host.wait()
    assert (result["cloud_init"], result["errors"], host.warnings) == ("done", [], [])
    assert host.asked.read_text() == "status --wait --long\n"


@pytest.mark.parametrize("status", [1, 2])
def test_errors_of_cloud_init_are_told(host: Host, status: int) -> None:
    host.file("status.json", stage=None)
    host.cloud_init(f"cat <<'END'\n{DEGRADED}END\nexit {status}")
    result = host.wait()
    assert (result["cloud_init"], result["errors"]) == ("error", EXPECTED_DEGRADED)
    [warning] = host.warnings
    assert "cloud-init ended with errors" in warning
    assert "Unable to reach the metadata" in warning
    assert "failed" not in result


@pytest.mark.parametrize(
    ("errors", "state"),
    [([], "done"), (["('scripts-user', RuntimeError())"], "error")],
)
def test_files_say_what_a_missing_command_cannot(host: Host, errors: list[str], state: str) -> None:
    host.file("status.json", stage="modules-final")
    timer = threading.Timer(0.2, host.file, ["result.json"], {"errors": errors})
    timer.start()
    result = host.wait()
    timer.join()
    assert (result["cloud_init"], result["errors"]) == (state, errors)


def test_files_say_what_a_hanging_command_does_not(host: Host) -> None:
    host.file("status.json", stage=None)
    host.file("result.json", errors=[])
    host.cloud_init("exec sleep 60")
    assert host.wait(1)["cloud_init"] == "done"


def test_cloud_init_that_does_not_end_is_named_with_its_stage(host: Host) -> None:
    host.file("status.json", stage="modules-config")
    host.cloud_init("exec sleep 60")
    result = host.wait(1)
    assert result["failed"]
    assert "Not ready after 1 s: cloud-init has not ended, and is in its stage modules-config." in result["msg"]


def test_who_holds_the_lock_is_said(host: Host) -> None:
    with host.locked() as process:
        result = host.wait(0)
    assert result["failed"]
    assert f"Not ready after 0 s: the package manager is in use: {sys.executable} -c import fcntl" in result["msg"]
    assert f"(process {process.pid}), started by " in result["msg"]
    assert f"holds {host.lock}." in result["msg"]


def test_lock_is_waited_for(host: Host) -> None:
    with host.locked() as process:
        assert process.stdin
        timer = threading.Timer(0.3, process.stdin.close)
        timer.start()
        result = host.wait()
        timer.join()
    assert "failed" not in result
    assert process.poll() == 0


def test_process_that_cannot_be_seen_is_still_a_holder(monkeypatch: pytest.MonkeyPatch, host: Host) -> None:
    monkeypatch.setattr(first_boot, "PROC", host.run_folder)
    with host.locked() as process:
        result = host.wait(0)
    assert f"a process (process {process.pid}) holds" in result["msg"]
