# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for what other programs do in their own time."""

from __future__ import annotations

import time
from collections.abc import Callable


class NotInTime(AssertionError):
    """What was waited for did not happen."""


def wait_until(what: str, ready: Callable[[], object], seconds: float = 30.0, *, pause: float = 0.2) -> None:
    """Return as soon as `ready()` is true; fail after `seconds`, and show what it returned last.

    An exception that `ready` raises means "not yet", except for an AssertionError, which fails at once. The pauses
    between two tries grow up to `pause` seconds: what is quick is seen quickly, and what is slow isn't asked too often.
    """
    deadline = time.monotonic() + seconds
    wait = min(0.01, pause)
    while True:
        cause: Exception | None = None
        try:
            last = ready()
            if last:
                return
        except AssertionError:
            raise
        except Exception as error:
            last = cause = error
        if time.monotonic() > deadline:
            raise NotInTime(f"{what}: not within {seconds:g} s, but {last!r}") from cause
        time.sleep(wait)
        wait = min(wait * 1.5, pause)
