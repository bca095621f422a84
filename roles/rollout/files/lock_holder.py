# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds a lock: describes the run of ansible-playbook that started this program, and asks after another one.

lock_holder.py describe PURPOSE    prints "held by {JSON}" with the run's user, host, pid, start, time and purpose
lock_holder.py ask HOLDER          prints what became of the run that HOLDER, such a text, describes: "mine" if it is
                                   the run that started this program, "ended" if it ran on this machine and no longer
                                   does, otherwise "may go on"
"""

from __future__ import annotations

import datetime
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


def became(holder: dict[str, str | int]) -> str:
    """What became of the run: "mine", "ended" or "may go on"."""
    if holder.get("host") != platform.node():
        return "may go on"
    if this_run().items() <= holder.items():
        return "mine"
    seen = process(int(holder.get("pid", 0)))
    return "ended" if seen is None or seen[1] != holder.get("started") else "may go on"


def main() -> None:
    what, text = sys.argv[1:]
    if what == "describe":
        now = datetime.datetime.now(datetime.UTC)
        print("held by", json.dumps({**this_run(), "since": f"{now:%Y-%m-%d %H:%M:%S} UTC", "for": text}))
        return
    try:
        print(became(json.loads(text[text.index("{") :])))
    except (ValueError, AttributeError):
        print("may go on")


if __name__ == "__main__":
    main()
