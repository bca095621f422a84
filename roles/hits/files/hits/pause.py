# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a server that could not be reached is left alone, so that not every request waits for it."""

from __future__ import annotations

import random
from time import monotonic

# Seconds
FIRST = 0.25
LONGEST = 4.0


class Pause:
    """Doubles with each failure, less up to half so that instances don't all return at once; ends with a success."""

    def __init__(self) -> None:
        self._length = FIRST
        self._until = 0.0

    @property
    def lasts(self) -> bool:
        return monotonic() < self._until

    def failed(self) -> None:
        self._until = monotonic() + self._length * random.uniform(0.5, 1)
        self._length = min(2 * self._length, LONGEST)

    def succeeded(self) -> None:
        self._length = FIRST
