# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which run of ansible-playbook this is, or whether another one has ended: what a lock needs to know of its holder.

playbook_run.py           prints {"user": ..., "host": ..., "pid": ..., "started": ...} of the run that started it
playbook_run.py HOLDER    HOLDER is a text with the same JSON: prints "ended" if that run was one of this machine and
                          is no more, else "may go on"
"""

from __future__ import annotations

import getpass
import json
import os
import platform
import subprocess
import sys
from pathlib import Path


def process(pid: int) -> tuple[int, str, list[str]] | None:
    """The parent's number, when it started, and its words; None where there is no such process."""
    folder = Path("/proc") / str(pid)
    if Path("/proc/self/stat").exists():
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            return None
        return (int(fields[1]), fields[19], words) if fields[0] != "Z" else None
    done = subprocess.run(
        ["ps", "-o", "ppid=,lstart=,command=", "-p", str(pid)], check=False, stdout=subprocess.PIPE, text=True
    )
    parts = done.stdout.split()
    # lstart is five words
    return (int(parts[0]), " ".join(parts[1:6]), parts[6:]) if parts else None


def this_run() -> dict[str, str | int]:
    """The outermost ansible-playbook above this program; where there is none, the program that called it."""
    pid = os.getppid()
    found = pid, (process(pid) or (0, "", []))[1]
    while pid > 1 and (seen := process(pid)):
        parent, started, words = seen
        if any(Path(word).name == "ansible-playbook" for word in words):
            found = pid, started
        pid = parent
    return {"user": getpass.getuser(), "host": platform.node(), "pid": found[0], "started": found[1]}


def has_ended(holder: dict[str, str | int]) -> bool:
    if holder.get("host") != platform.node():
        return False
    seen = process(int(holder.get("pid", 0)))
    return seen is None or seen[1] != holder.get("started")


def main() -> None:
    if len(sys.argv) == 1:
        print(json.dumps(this_run()))
        return
    try:
        ended = has_ended(json.loads(sys.argv[1][sys.argv[1].index("{") :]))
    except (ValueError, AttributeError):
        ended = False
    print("ended" if ended else "may go on")


if __name__ == "__main__":
    main()
