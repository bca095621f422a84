# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steady load on one URL until SIGTERM, and a line of JSON for each request.

The loop is open: a request starts when its time has come, whether or not the former ones have been answered, and its
latency counts from then on. Half of the requests are on connections that 20 clients keep, the other half each on a new
one. A line has `at` (seconds since 1970 when it was due), `seconds`, `status` (0: no answer; `error` says why), `new`
(on a connection of its own) and `tries`: like a browser, the client sends a GET again if the server has closed a kept
connection.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TextIO

import aiohttp

CLIENTS = 20
PATIENCE = 30.0


async def ask(session: aiohttp.ClientSession, url: str, due: float, new: bool, output: TextIO) -> None:
    tries = SimpleNamespace(count=0)
    status, error = 0, ""
    try:
        async with session.get(url, trace_request_ctx=tries) as response:
            await response.read()
            status = response.status
    except (aiohttp.ClientError, OSError, TimeoutError) as problem:
        error = f"{type(problem).__name__}: {problem}"
    line = {"at": due, "seconds": time.time() - due, "status": status, "new": new, "tries": tries.count}
    output.write(json.dumps(line | {"error": error} if error else line) + "\n")


async def _count(_session: aiohttp.ClientSession, context: Any, _parameters: Any) -> None:
    context.trace_request_ctx.count += 1


def _session(new: bool, host: str) -> aiohttp.ClientSession:
    trace = aiohttp.TraceConfig()
    trace.on_connection_create_start.append(_count)
    trace.on_connection_reuseconn.append(_count)
    return aiohttp.ClientSession(
        headers={"Host": host} if host else None,
        # Tests make their certificates themselves
        connector=aiohttp.TCPConnector(limit=0, force_close=new, ssl=False),
        timeout=aiohttp.ClientTimeout(total=PATIENCE),
        trace_configs=[trace],
    )


async def run(url: str, rate: float, output: TextIO, host: str = "") -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        once = await stack.enter_async_context(_session(True, host))
        keepers = [await stack.enter_async_context(_session(False, host)) for _ in range(CLIENTS)]
        running: set[asyncio.Task[None]] = set()
        start, number = time.time(), 0
        while not stop.is_set():
            due = start + number / rate
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), max(0.0, due - time.time()))
            if stop.is_set():
                break
            new = number % 2 == 1
            session = once if new else keepers[number // 2 % CLIENTS]
            task = asyncio.create_task(ask(session, url, due, new, output))
            running.add(task)
            task.add_done_callback(running.discard)
            number += 1
        await asyncio.gather(*running)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("url")
    parser.add_argument("output", help="file that gets the lines")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second (default: %(default)s)")
    parser.add_argument("--host", default="", help="the host that is asked for (default: that of the URL)")
    options = parser.parse_args()
    with Path(options.output).open("w") as output:
        asyncio.run(run(options.url, options.rate, output, options.host))


if __name__ == "__main__":
    main()
