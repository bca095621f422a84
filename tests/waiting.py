# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for what a test's programs do in their own time."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(what: str, ready: Callable[[], object], seconds: float = 10.0) -> None:
    """Return as soon as it is ready; fail, and say what was not, after so many seconds."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, f"{what} not within {seconds} s"
        time.sleep(0.02)
