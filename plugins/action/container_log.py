# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Follows by asking again and again: a command that does not end would show its output only at its end, and the
# connection plugins have no other way to run one.

from __future__ import annotations

import re
import shlex
import time
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._masked import masked

PAUSE_SECONDS = 1.0
ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str", "required": True},
    "since": {"type": "str", "default": ""},
    "lines": {"type": "int", "default": 100},
    "grep": {"type": "str", "default": ""},
    "follow": {"type": "bool", "default": False},
    "seconds": {"type": "int", "default": 3600},
    "env": {"type": "dict", "default": {}},
}

display = Display()


class ActionModule(ActionBase):  # type: ignore[misc]
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _checked, wanted = self.validate_argument_spec(ARGUMENTS)
        try:
            pattern = re.compile(wanted["grep"])
        except re.error as error:
            raise AnsibleActionFail(f"grep is {wanted['grep']!r}, which is no regular expression: {error}") from error

        def shown(lines: list[str]) -> list[str]:
            return [masked(line, wanted["env"]) for line in lines if pattern.search(line)]

        status, now, stamped = self._read(wanted["name"], wanted["since"], wanted["lines"])
        if status != 0:
            raise AnsibleActionFail(f"docker logs failed: {' '.join(stamped) or status}")
        if not wanted["follow"]:
            result.update(changed=False, lines=shown([text_of(line) for line in stamped]))
            return result
        host = (task_vars or {}).get("inventory_hostname", "")
        until = time.monotonic() + wanted["seconds"]
        last = ""
        while True:
            new, last = newer(stamped, last)
            for line in shown(new):
                display.display(f"{host} | {line}")
            if time.monotonic() >= until:
                break
            time.sleep(PAUSE_SECONDS)
            # A container that is being replaced is not there for a while
            status, _now, found = self._read(wanted["name"], last or now)
            stamped = found if status == 0 else []
        result.update(changed=False, lines=[])
        return result

    def _read(self, name: str, since: str, lines: int = 0) -> tuple[int, str, list[str]]:
        """The exit status, the host's time, and the log lines, each after its own time."""
        # At -vvv the connection shows what a command says, here with the secrets; the result of the task has none
        context = self._connection._play_context
        before, context.no_log = context.no_log, True
        try:
            done = self._low_level_execute_command(command(name, since, lines))
        finally:
            context.no_log = before
        now, _newline, rest = done["stdout"].replace("\r\n", "\n").partition("\n")
        return done["rc"], now.strip(), rest.splitlines()


def command(name: str, since: str = "", lines: int = 0) -> str:
    """The shell command for the host. Both of the container's outputs come in the order in which they were written."""
    words = ["docker", "logs", "--timestamps"]
    words += ["--tail", str(lines)] if lines else []
    words += ["--since", since] if since else []
    return f"date -u +%Y-%m-%dT%H:%M:%S.%NZ; {shlex.join([*words, '--', name])} 2>&1"


def text_of(stamped: str) -> str:
    return stamped.partition(" ")[2]


def newer(stamped: list[str], last: str) -> tuple[list[str], str]:
    """The lines after the last one that was seen, and when the last of these was written."""
    new = [line for line in stamped if line.partition(" ")[0] > last]
    return [text_of(line) for line in new], (new[-1].partition(" ")[0] if new else last)
