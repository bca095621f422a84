# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: what a container that failed may lack, from what it said last. An image may need more than
# role app gives to a container unless asked.

from __future__ import annotations

import re
from collections.abc import Iterable

DENIED = re.compile(r"operation not permitted|permission denied", re.IGNORECASE)
READ_ONLY = re.compile(r"read-only file ?system", re.IGNORECASE)
# What an image needs that begins as root, makes folders ready, and goes on as another user
BEGINS_AS_ROOT = ("CHOWN", "SETGID", "SETUID")
# What a line that was denied something tells of, and the capabilities that allow it
CAPABILITIES = (
    (re.compile(r"\bl?chown\b|changing ownership", re.IGNORECASE), BEGINS_AS_ROOT),
    (re.compile(r"gosu|su-exec|setpriv|failed switching to", re.IGNORECASE), BEGINS_AS_ROOT),
    (re.compile(r"set(e|re|res)?[gu]id|setgroups|initgroups", re.IGNORECASE), BEGINS_AS_ROOT),
    (re.compile(r"\bbind\b|listen (tcp|udp)|could not bind", re.IGNORECASE), ("NET_BIND_SERVICE",)),
    (re.compile(r"\bchroot\b", re.IGNORECASE), ("SYS_CHROOT",)),
    (re.compile(r"raw socket|\bping\b", re.IGNORECASE), ("NET_RAW",)),
    (re.compile(r"\bkill\b", re.IGNORECASE), ("KILL",)),
)
# A path of at least two parts, or what is in quotes
PATH = re.compile(r"[\"'\u2018`](/[^\"'\u2019`]+)[\"'\u2019`]|(?<![\w/:.])(/[\w.@+-]+(?:/[\w.@+-]+)+)")


def _folder(line: str) -> str:
    """The folder of the path that the line has last; empty if it has none."""
    found = [quoted or plain for quoted, plain in PATH.findall(line)]
    return (found[-1].rstrip("/").rpartition("/")[0] or found[-1]) if found else ""


def app_hints(lines: Iterable[str]) -> list[str]:
    """A sentence for each thing that it may lack. `lines`: the last ones of its log, or messages of the engine."""
    capabilities: dict[str, None] = {}
    read_only: dict[str, None] = {}
    denied: dict[str, None] = {}
    for line in lines:
        if READ_ONLY.search(line):
            read_only[_folder(line)] = None
        elif what := DENIED.search(line):
            known = next((names for pattern, names in CAPABILITIES if pattern.search(line)), None)
            if known or what[0].lower() == "operation not permitted":
                capabilities |= dict.fromkeys(known or BEGINS_AS_ROOT)
            else:
                denied[_folder(line)] = None
    hints = []
    if read_only:
        places = ", ".join(filter(None, read_only)) or "there"
        hints.append(
            f"It may not write to its own file system. If it must write to {places}, name that in app_tmpfs (empty at "
            "every start) or in app_volumes (kept); app_read_only: false lets it write everywhere."
        )
    if capabilities:
        hints.append(
            f"It has only the Linux capabilities of app_capabilities, and seems to need {', '.join(capabilities)}. An "
            "image that begins as root and goes on as another user may need none if app_user is that user."
        )
    if denied:
        places = ", ".join(filter(None, denied)) or "a file"
        hints.append(
            f"Its user may not use {places}. app_user names another user; a directory of app_volumes and a file of "
            "app_files have an owner and a mode; without capabilities, root has no more rights than others."
        )
    return hints
