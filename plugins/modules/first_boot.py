#!/usr/bin/python
# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: first_boot
short_description: Wait until a host's first boot is over and its package manager is free
version_added: 0.1.0
author:
  - alphacoder (@alphacoder)
description:
  - A new cloud server answers over SSH while it is still being made. cloud-init may be writing the package sources, and
    the provider's agents or automatic upgrades may be installing packages.
  - Waits for the end of cloud-init, then until no process holds a lock of C(dpkg) or C(apt). Where it has to give up,
    it says what it was waiting for, and which process holds the lock.
  - A host without cloud-init, or one whose cloud-init did not run at this boot, is not waited for.
  - Errors of cloud-init are a warning, with cloud-init's own words.
extends_documentation_fragment:
  - alphacoder.scaleout.attributes
  - alphacoder.scaleout.attributes.changes_nothing
options:
  timeout:
    description:
      - How long to wait for both together, in seconds.
    type: int
    default: 600
notes:
  - Needs the rights of root.
seealso:
  - module: ansible.builtin.apt
    description: Its C(lock_timeout) waits for a lock that is taken later.
"""

EXAMPLES = r"""
- name: Wait for the first boot to end
  alphacoder.scaleout.first_boot:
  become: true

- name: Install Redis
  ansible.builtin.apt:
    name: redis-server
    lock_timeout: 300
  become: true
"""

RETURN = r"""
cloud_init:
  description:
    - V(none) where there is no cloud-init, V(not run) where it did not start at this boot, V(done), or V(error) where
      it ended with errors.
  returned: always
  type: str
errors:
  description: What cloud-init says went wrong.
  returned: always
  type: list
  elements: str
waited:
  description: How long this took, in whole seconds.
  returned: always
  type: int
"""

import fcntl
import json
import shutil
import struct
import subprocess
import time
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

# cloud-init makes status.json before the network is up, and result.json at its end
CLOUD_INIT = Path("/run/cloud-init")
LOCKS = (
    Path("/var/lib/dpkg/lock-frontend"),
    Path("/var/lib/dpkg/lock"),
    Path("/var/lib/apt/lists/lock"),
    Path("/var/cache/apt/archives/lock"),
)
PROC = Path("/proc")
POLL = 1.0
# struct flock: type, whence, start, length, process
FLOCK = "hhqqi"


class NotReadyError(Exception):
    """The host was not ready in time, and why."""


def read_json(path: Path) -> dict[str, t.Any]:
    """What cloud-init wrote there; nothing where the file is missing or half written."""
    try:
        found = json.loads(path.read_text()).get("v1", {})
    except (OSError, ValueError):
        return {}
    return t.cast("dict[str, t.Any]", found)


def told(output: str) -> list[str]:
    """The lines of `cloud-init status --long`, without the dots that it prints while it waits."""
    lines = (line.strip().lstrip(".").strip() for line in output.splitlines())
    return [line for line in lines if line]


def cloud_init_end(timeout: float) -> tuple[str, list[str]]:
    """Wait for the end of cloud-init; return how it ended, and its errors."""
    program = shutil.which("cloud-init")
    if not (CLOUD_INIT / "status.json").exists():
        return ("not run" if program else "none"), []
    deadline = time.monotonic() + timeout
    if program:
        try:
            done = subprocess.run(
                [program, "status", "--wait", "--long"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            # It is known to hang; the files may say more
            pass
        else:
            return ("error", told(done.stdout + done.stderr)) if done.returncode else ("done", [])
    while not (CLOUD_INIT / "result.json").exists():
        if time.monotonic() >= deadline:
            stage = read_json(CLOUD_INIT / "status.json").get("stage")
            raise NotReadyError(
                f"cloud-init has not ended{f', and is in its stage {stage}' if stage else ''}. On the host, "
                "/var/log/cloud-init-output.log says what it does."
            )
        time.sleep(POLL)
    errors = [str(error) for error in read_json(CLOUD_INIT / "result.json").get("errors", [])]
    return ("error" if errors else "done"), errors


def holder(path: Path) -> int | None:
    """The process that holds a lock on this file; 0 for one that can't be seen from here."""
    try:
        with path.open("rb") as file:
            asked = struct.pack(FLOCK, fcntl.F_WRLCK, 0, 0, 0, 0)
            kind, _whence, _start, _length, process = struct.unpack(FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))
    except FileNotFoundError:
        return None
    return None if kind == fcntl.F_UNLCK else process


def command(process: int) -> str:
    """What the process is, for a message."""
    try:
        words = (PROC / str(process) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        words = []
    text = b" ".join(words).decode(errors="replace").strip()
    return f"{text[:200] or 'a process'} (process {process})"


def parent(process: int) -> int:
    """The process that started this one; 0 where that is not known, or is the first of all."""
    try:
        # The name before it may hold spaces and brackets
        found = int((PROC / str(process) / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return found if found > 1 else 0


def wait_for_locks(deadline: float) -> None:
    """Wait until nobody holds a lock of the package manager."""
    while held := [(path, process) for path in LOCKS if (process := holder(path)) is not None]:
        if time.monotonic() >= deadline:
            path, process = held[0]
            by = f", started by {command(starter)}" if (starter := parent(process)) else ""
            raise NotReadyError(
                f"the package manager is in use: {command(process)}{by} holds {path}. "
                "Where that is at work, run this again when it is done; where it waits for an answer, end it on the "
                "host."
            )
        time.sleep(POLL)


def main() -> None:
    module = AnsibleModule(argument_spec={"timeout": {"type": "int", "default": 600}}, supports_check_mode=True)
    timeout: int = module.params["timeout"]
    start = time.monotonic()
    result: dict[str, t.Any] = {"changed": False, "cloud_init": "none", "errors": [], "waited": 0}
    failure = ""
    try:
        result["cloud_init"], result["errors"] = cloud_init_end(timeout)
        wait_for_locks(start + timeout)
    except NotReadyError as error:
        failure = f"Not ready after {timeout} s: {error}"
    except PermissionError as error:
        failure = f"Could not look at {error.filename}: set become: true for this task"
    result["waited"] = int(time.monotonic() - start)
    if result["errors"]:
        module.warn(f"cloud-init ended with errors on this host: {' '.join(result['errors'])}")
    if failure:
        module.fail_json(msg=failure, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
