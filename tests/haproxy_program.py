# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HAProxy program for tests: this machine's, the one that `make setup` unpacked, or any other by HAPROXY=path."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

UNPACKED = Path(__file__).resolve().parent.parent / ".build" / "haproxy" / "haproxy"


def find_haproxy() -> str:
    """Return the path of the program to test with; fails where there is none."""
    given = os.environ.get("HAPROXY")
    found = given or shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin:{UNPACKED.parent}")
    assert found, "haproxy is not on this machine: `make setup` fetches it, or set HAPROXY to the path of one"
    return found


def haproxy_version(program: str) -> tuple[int, int]:
    """Return the branch of a HAProxy program, for example (2, 6)."""
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version (\d+)\.(\d+)", said)
    assert found, f"{program} -v does not say its version: {said}"
    return int(found[1]), int(found[2])
