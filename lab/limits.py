# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The API's rate limits: sliding windows, as its documentation describes them."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable

from lab.errors import ApiError

HOUR = 3600
MINUTE = 60


class RateLimit:
    """Counts the requests of a lab's only token. Refused requests don't count."""

    def __init__(self, per_hour: int, per_minute: int, clock: Callable[[], float]) -> None:
        self._per_hour = per_hour
        self._per_minute = per_minute
        self._clock = clock
        self._requests: deque[float] = deque()
        self._lock = threading.Lock()

    def take(self) -> None:
        """Counts one request; raises a 429 when it is one too many.

        Only the reply to a burst says when to come back. The bodies are as seen live, not as in the specification,
        which has another `id`: clients must go by the status.
        """
        with self._lock:
            now = self._forget()
            if len(self._requests) >= self._per_hour:
                raise refused({})
            recent = [time for time in self._requests if time > now - MINUTE]
            if len(recent) >= self._per_minute:
                oldest = recent[-self._per_minute]
                wait = max(1, math.ceil(oldest + MINUTE - now))
                raise refused({"retry-after": str(wait), "ratelimit-remaining": "0"})
            self._requests.append(now)

    def headers(self) -> dict[str, str]:
        with self._lock:
            now = self._forget()
            oldest = self._requests[0] if self._requests else now
            return {
                "ratelimit-limit": str(self._per_hour),
                "ratelimit-remaining": str(max(0, self._per_hour - len(self._requests))),
                "ratelimit-reset": str(math.ceil(oldest + HOUR)),
            }

    def _forget(self) -> float:
        now = self._clock()
        while self._requests and self._requests[0] <= now - HOUR:
            self._requests.popleft()
        return now


def refused(headers: dict[str, str]) -> ApiError:
    return ApiError(429, "Too Many Requests", "Too many requests", traced=False, headers=headers)
