# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server programs that tests start.

A test whose program is not installed is skipped, with the reason; where CI or NO_SKIPS is set, it fails.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from support import REPO

# Debian keeps these outside an ordinary user's PATH
SYSTEM = "/usr/sbin:/sbin"
# Of several releases of Debian (scripts/haproxy_releases)
UNPACKED = REPO / ".build" / "haproxy"


def lacks(reason: str) -> NoReturn:
    """End the test: this machine can't run it."""
    if os.environ.get("CI") or os.environ.get("NO_SKIPS"):
        pytest.fail(reason)
    pytest.skip(reason)


def find_program(name: str) -> str:
    """Return the path of a program."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SYSTEM}")
    return found or lacks(f"{name} is not installed: `make setup` installs it")


def find_server(*names: str) -> str:
    """Return the path of a PostgreSQL or Redis program, the first of these names that there is."""
    if sys.platform != "linux":
        lacks("these tests follow the server's processes through /proc, which only Linux has")
    for name in names:
        # Debian keeps PostgreSQL's outside PATH
        versions = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
        if found := shutil.which(name) or max(versions, default=None, key=lambda path: int(path.parts[-3])):
            return str(found)
    lacks(f"{' or '.join(names)} is not installed: `make setup` installs it")


def haproxy_programs() -> dict[str, str]:
    """Return the path of each HAProxy that the tests run with, by a name for it.

    HAPROXY=path is the only one. Otherwise these are the ones that `make setup` has unpacked, the oldest first, or this
    machine's.
    """
    if given := os.environ.get("HAPROXY"):
        return {"HAPROXY": given}
    unpacked = {path.parent.name: str(path) for path in UNPACKED.glob("*/haproxy")}
    if unpacked:
        return dict(sorted(unpacked.items(), key=lambda item: haproxy_version(item[1])))
    found = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:{SYSTEM}")
    return {"machine": found} if found else {}


def find_haproxy() -> str:
    """Return the path of the first of them."""
    programs = haproxy_programs()
    return next(iter(programs.values()), "") or lacks(
        "haproxy is not installed: `make setup` fetches it, or set HAPROXY to the path of one"
    )


def haproxy_version(program: str) -> tuple[int, int]:
    """Return the branch of a HAProxy program, for example (2, 6)."""
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version (\d+)\.(\d+)", said)
    assert found, f"{program} -v does not say its version: {said}"
    return int(found[1]), int(found[2])
