# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Runs the module of the same name, and shows its progress at -v: Ansible shows what a module prints only when it ends.

from __future__ import annotations

import contextlib
import tempfile
import threading
import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible.utils.vars import merge_hash
from ansible_collections.alphacoder.scaleout.plugins.module_utils._pool import PROGRESS_VARIABLE

LOOK_SECONDS = 0.2

display = Display()


class ActionModule(ActionBase):  # type: ignore[misc]
    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        wrap_async = bool(self._task.async_val)
        with contextlib.ExitStack() as stack:
            # Elsewhere the module can't write to a file of this machine
            if self._connection.transport == "local" and not wrap_async:
                path = stack.enter_context(_shown((task_vars or {}).get("inventory_hostname")))
                self._task.environment = [*(self._task.environment or []), {PROGRESS_VARIABLE: path}]
            result = merge_hash(result, self._execute_module(task_vars=task_vars, wrap_async=wrap_async))
        if not wrap_async:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return t.cast("dict[str, t.Any]", result)


@contextlib.contextmanager
def _shown(host: str | None) -> t.Iterator[str]:
    """A file, each line of which is shown as soon as it is written."""
    with tempfile.NamedTemporaryFile("r", prefix="droplet-pool-", encoding="utf-8") as file:
        over = threading.Event()

        def follow() -> None:
            rest = ""
            while True:
                # Asked before reading, so that what was written last is read
                last = over.wait(LOOK_SECONDS)
                *lines, rest = (rest + file.read()).split("\n")
                for line in lines:
                    display.v(line, host=host)
                if last:
                    return

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield file.name
        finally:
            over.set()
            thread.join()
