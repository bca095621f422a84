# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an event costs the service's clients: steady load before, during and after it, and HAProxy's view meanwhile."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.service import Service
from support.waiting import wait_until

HERE = Path(__file__).resolve().parent
# Seconds of load before the event, and after it and since every server is UP
BEFORE = 2.0
AFTER = 3.0
# Asks the runtime API ten times a second, and says when an answer differs from the former: how often HAProxy has asked
# a server again since it started (wretr), and the status of each; {} is no answer
WATCH = """
import json, socket, time
last = None
while True:
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(2)
            s.connect('/run/haproxy/admin.sock')
            s.sendall(b'show stat -1 4 -1\\n')
            rows = s.makefile().read().removeprefix('# ').strip().splitlines()
        at = {name: number for number, name in enumerate(rows[0].split(','))}
        rows = [row.split(',') for row in rows[1:]]
        found = {row[at['svname']]: row[at['status']].split()[0] for row in rows}
        retries = sum(int(row[at['wretr']]) for row in rows)
    except OSError:
        found, retries = {}, 0
    if (found, retries) != last:
        print(time.time(), retries, json.dumps(found), flush=True)
        last = found, retries
    time.sleep(0.1)
"""


@dataclass(frozen=True)
class Request:
    """One request: when it was due (seconds since 1970), how long until the answer, and what that was (0: none)."""

    at: float
    seconds: float
    status: int
    new: bool
    tries: int
    error: str = ""


@dataclass
class Result:
    """What was measured. Times are seconds since 1970."""

    began: float
    ended: float
    requests: list[Request]
    # HAProxy's view from that time on: the status of each server, {} where it does not answer
    views: list[tuple[float, dict[str, str]]]
    # When every server was UP again for good
    up: float
    # Hits that the record has more than before
    recorded: int
    # How often HAProxy asked a server again: each may be a hit that the former one recorded without its page
    retried: int
    output: str = ""
    code: int = 0

    @property
    def failed(self) -> list[Request]:
        return [request for request in self.requests if request.status != 200]

    @property
    def turned_away(self) -> list[Request]:
        """Failed requests that HAProxy answered, rather than nobody, once the event was over."""
        return [request for request in self.failed if request.status and request.at > self.ended]

    @property
    def pages(self) -> int:
        """Requests that got their page: each is a hit that has to be on record."""
        return len(self.requests) - len(self.failed)

    @property
    def worst(self) -> float:
        """Seconds that the slowest page took."""
        return max(request.seconds for request in self.requests if request.status == 200)

    @property
    def lost(self) -> int:
        """Pages whose hit is not on record. Below 0: hits on record whose page nobody got."""
        return self.pages - self.recorded

    @property
    def again(self) -> int:
        """Requests that the client had to send again, as browsers do when a server closes a connection that it kept."""
        return sum(request.tries > 1 for request in self.requests)

    @property
    def whole(self) -> float:
        """Seconds from the event's begin until nothing was wrong: no request failed, and every server was UP."""
        last = [request.at + request.seconds for request in self.failed]
        down = [self.up] if any(is_down(view) for at, view in self.views if at >= self.began) else []
        return max([self.began, *last, *down]) - self.began


def is_down(view: dict[str, str]) -> bool:
    return not view or any(status not in ("UP", "no") for status in view.values())


@dataclass
class Watch:
    """HAProxy's view on one load balancer (the first, unless another is named), over one SSH connection."""

    service: Service
    balancer: str = ""
    views: list[tuple[float, dict[str, str]]] = field(default_factory=list)
    # HAProxy's count of retries, each time that it was another one; 0 where HAProxy does not answer
    retries: list[int] = field(default_factory=lambda: [0])

    def __enter__(self) -> Watch:
        self._stopped = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        wait_until("HAProxy's view", lambda: self.views)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        if self._process:
            self._process.terminate()
        self._thread.join()

    def _read(self) -> None:
        balancer = self.balancer or self.service.group("lb")[0]
        while not self._stopped.is_set():
            command = [*self.service.ssh(balancer), "exec python3 -u -"]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(WATCH)
                self._process.stdin.close()
            for line in self._process.stdout:
                at, retries, found = line.split(" ", 2)
                view = json.loads(found)
                self.retries.append(int(retries))
                if not self.views or self.views[-1][1] != view:
                    self.views.append((float(at), view))
            self._process.wait()
            if not self._stopped.is_set():
                # The load balancer is gone
                self.views.append((time.time(), {}))
                self.retries.append(0)
                self._stopped.wait(0.5)

    def retried(self, since: int) -> int:
        """How often HAProxy has asked a server again since `retries` had that length. It counts anew when it starts."""
        counts = self.retries[since - 1 :]
        return sum(later - former if later >= former else later for former, later in itertools.pairwise(counts))

    def whole_since(self) -> float | None:
        """Since when every server is UP, or None."""
        at, view = self.views[-1]
        return None if is_down(view) else at

    def is_whole(self, ended: float) -> bool:
        """Whether every server has been UP for a while, and the event is as long over."""
        since = self.whole_since()
        return since is not None and time.time() - max(since, ended) > AFTER


@contextlib.contextmanager
def load(url: str, rate: float = 200.0, host: str = "") -> Iterator[list[Request]]:
    """So many requests a second for that host while the block runs; the list has them afterwards."""
    requests: list[Request] = []
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "requests.jsonl"
        command = [sys.executable, str(HERE / "load.py"), url, str(output), f"--rate={rate}", f"--host={host}"]
        process = subprocess.Popen(command)
        try:
            wait_until("load", lambda: output.exists())
            yield requests
        finally:
            process.terminate()
            code = process.wait()
        assert code == 0, f"load.py ended with exit code {code}"
        requests += [Request(**json.loads(line)) for line in output.read_text().splitlines()]


def record(service: Service) -> tuple[int, int]:
    """Hits on record once none waits elsewhere: without and with those that asking for them made."""
    asked = 0
    answer: dict[str, Any] = {}

    def settled() -> bool:
        nonlocal asked, answer
        with urllib.request.urlopen(f"http://{service.address}/api/hits", timeout=10) as response:
            answer = json.load(response)
        asked += 1
        return not answer["lag"]

    wait_until("every hit on record", settled, 60)
    return answer["total"] - asked, answer["total"]


def measure(service: Service, event: Callable[[Service], subprocess.CompletedProcess[str] | None]) -> Result:
    """Have the event happen under load."""
    with Watch(service) as watch:
        wait_until("every server UP", lambda: watch.whole_since(), 60)
        _, before = record(service)
        seen = len(watch.retries)
        with load(f"http://{service.address}/") as requests:
            time.sleep(BEFORE)
            began = time.time()
            done = event(service)
            ended = time.time()
            # A fault is noticed a while after it happened, and a HAProxy that starts takes every server for UP at first
            wait_until("noticed", lambda: time.time() > ended + AFTER or watch.whole_since() is None, 60)
            wait_until("every server UP to stay", lambda: watch.is_whole(ended), 120)
        up = watch.whole_since() or time.time()
        after, _ = record(service)
        retried = watch.retried(seen)
    return Result(
        began=began,
        ended=ended,
        requests=requests,
        views=watch.views,
        up=up,
        recorded=after - before,
        retried=retried,
        output=done.stdout if done else "",
        code=done.returncode if done else 0,
    )
