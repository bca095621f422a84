# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host is this machine's shell, with a fake docker that reads a file."""

from __future__ import annotations

import os
import subprocess
import threading
import typing as t
from pathlib import Path

import pytest
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins import loader as plugin_loaders
from ansible.template import Templar
from ansible_collections.alphacoder.scaleout.plugins.action import container_log
from support.waiting import wait_until

# Says which words it got, then what is in the file
DOCKER = """#!/bin/sh
echo "$@" >>"$LOGS.asked"
[ -e "$LOGS" ] || { echo "Error response from daemon: No such container: shop" >&2; exit 1; }
cat "$LOGS"
"""


def stamp(second: int) -> str:
    return f"2026-11-28T08:00:{second:02}.000000000Z"


class Host:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log = folder / "log"
        program = folder / "docker"
        program.write_text(DOCKER)
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        monkeypatch.setenv("LOGS", str(self.log))
        self.shown: list[str] = []
        self.play_context = PlayContext()
        monkeypatch.setattr(container_log, "PAUSE_SECONDS", 0.05)
        monkeypatch.setattr(container_log.display, "display", lambda line: self.shown.append(line))

    def say(self, *lines: str) -> None:
        with self.log.open("a") as file:
            file.writelines(f"{line}\n" for line in lines)

    @property
    def asked(self) -> list[str]:
        return Path(f"{self.log}.asked").read_text().splitlines()

    def execute(self, command: str, **_options: t.Any) -> dict[str, t.Any]:
        # The connection then shows nothing of it at -vvv
        assert self.play_context.no_log
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
        return {"rc": done.returncode, "stdout": done.stdout, "stderr": done.stderr}

    def read(self, **arguments: t.Any) -> list[str]:
        task = Task()
        task.action, task.args = "alphacoder.scaleout.container_log", {"name": "shop", **arguments}
        shell = type("Shell", (), {"tmpdir": None})
        # It has a context of its own, as those of Ansible do
        connection = type("Connection", (), {"_shell": shell, "_play_context": self.play_context})()
        loader = DataLoader()
        templar = Templar(loader=loader, variables={})
        action = container_log.ActionModule(task, connection, PlayContext(), loader, templar, plugin_loaders)
        action._low_level_execute_command = self.execute
        result = action.run(task_vars={"inventory_hostname": "app-1"})
        assert result["changed"] is False
        assert not self.play_context.no_log
        return t.cast("list[str]", result["lines"])


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def test_lines_are_those_that_are_wanted(host: Host) -> None:
    host.say(f"{stamp(1)} ERROR one", f"{stamp(2)} two", f"{stamp(3)} ERROR with hidden-key", f"{stamp(4)} ")

    assert host.read() == ["ERROR one", "two", "ERROR with hidden-key", ""]
    assert host.read(grep="^ERROR", env={"API_KEY": "hidden-key"}) == ["ERROR one", "ERROR with ***"]
    host.read(since="10m", lines=3)
    host.read(lines=0)
    assert host.asked[-2:] == ["logs --timestamps --tail 3 --since 10m -- shop", "logs --timestamps -- shop"]


def test_container_that_is_not_there_and_a_wrong_expression(host: Host) -> None:
    with pytest.raises(AnsibleActionFail, match="docker logs failed: Error response from daemon: No such container"):
        host.read()
    with pytest.raises(AnsibleActionFail, match="grep is '\\(', which is no regular expression"):
        host.read(grep="(")


@pytest.mark.slow
def test_lines_are_shown_as_they_come_and_over_the_next_container(host: Host) -> None:
    host.say(f"{stamp(1)} one", f"{stamp(2)} no")
    thread = threading.Thread(
        target=lambda: host.read(follow=True, seconds=3, grep="one|two|three", env={"KEY": "three-hidden"})
    )
    thread.start()

    def wait_for(*lines: str) -> None:
        wait_until(f"these lines: {lines}", lambda: host.shown == list(lines), 2)

    wait_for("app-1 | one")
    host.say(f"{stamp(3)} two")
    wait_for("app-1 | one", "app-1 | two")
    host.log.unlink()
    asked = len(host.asked)
    wait_until("asked in vain", lambda: len(host.asked) > asked + 1, 2)
    host.say(f"{stamp(4)} three-hidden")
    wait_for("app-1 | one", "app-1 | two", "app-1 | ***")
    thread.join()
    # Nothing twice
    assert len(host.shown) == 3
    assert host.asked[-1] == f"logs --timestamps --since {stamp(4)} -- shop"
