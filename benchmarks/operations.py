# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to clients while the service is changed, and while parts of it fail, and how long the changes take.

Makes a lab of its own with the whole service, from nothing to nothing, has each event of tests/support/events.py
happen under 200 requests a second (open loop, half of them on new connections), prints a table, and draws latency and
errors over time, a picture an event.

    make bench-operations
    make bench-operations ARGS='--only cut-off --only deploy-good'
"""

from __future__ import annotations

import argparse
import datetime
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from support import REPO
from support.events import EVENTS, IN_FLIGHT, Event, deploy_good, scale_in, scale_out
from support.measure import Result, measure
from support.service import Service

PICTURES = REPO / "docs" / "operations"

mpl.use("agg")

COLOURS = {"UP": "#4caf50", "DRAIN": "#ffc107", "MAINT": "#9e9e9e", "DOWN": "#e53935"}
BIN = Path(sys.executable).parent
MODULES = "benchmarks/modules.yml"


def tasks(output: str) -> int:
    """How many tasks and handlers the run had."""
    return len(re.findall(r"^(?:TASK|RUNNING HANDLER) \[", output, re.MULTILINE))


def draw(event: Event, result: Result, path: Path) -> None:
    """The picture of one event: the slowest page and the failed requests of each 0.2 s, and each server's status."""
    width = 0.2
    slowest: dict[bool, dict[int, float]] = {True: defaultdict(float), False: defaultdict(float)}
    failed: dict[int, int] = defaultdict(int)
    for request in result.requests:
        slot = int((request.at - result.began) // width)
        if request.status == 200:
            slowest[request.new][slot] = max(slowest[request.new][slot], request.seconds)
        else:
            failed[slot] += 1

    figure, (latency, errors, states) = plt.subplots(
        3, 1, sharex=True, figsize=(8, 4.2), height_ratios=(5, 2, 1.6), layout="constrained"
    )
    figure.suptitle(event.title[0].upper() + event.title[1:])
    for new, label in ((False, "kept connections"), (True, "new connections")):
        slots = range(min(slowest[new]), max(slowest[new]) + 1)
        # A gap where nobody got a page
        pages = [slowest[new].get(slot, math.nan) * 1000 for slot in slots]
        latency.plot([slot * width for slot in slots], pages, label=label, lw=1)
    latency.set_yscale("log")
    # Room for the legend
    latency.set_ylim(1, 500_000)
    latency.set_ylabel("slowest page, ms")
    latency.legend(loc="upper left", fontsize="small", ncols=2)
    errors.bar([slot * width for slot in failed], list(failed.values()), width, color="#e53935", align="edge")
    errors.set_ylim(0, max([4, *failed.values()]) * 1.1)
    errors.yaxis.get_major_locator().set_params(integer=True)
    errors.set_ylabel("failed")
    draw_states(states, result)
    states.set_xlabel("seconds")
    for axes in (latency, errors):
        axes.axvspan(0, result.ended - result.began, color="#90a4ae", alpha=0.2, lw=0)
    states.margins(x=0)
    figure.savefig(path, dpi=80, metadata={"Software": None})
    plt.close(figure)


def draw_states(axes: plt.Axes, result: Result) -> None:
    end = max(request.at for request in result.requests)
    servers = sorted({name for _, view in result.views for name in view})
    bounds = [at for at, _ in result.views[1:]] + [end]
    for (at, view), until in zip(result.views, bounds, strict=True):
        start = max(at, result.requests[0].at)
        for row, server in enumerate(servers):
            status = view.get(server, "" if view else "DOWN")
            if status and until > start:
                axes.barh(row, until - start, left=start - result.began, color=COLOURS.get(status, "#90a4ae"))
    axes.set_yticks(range(len(servers)), servers, fontsize="small")


def row(event: Event, result: Result) -> str:
    whole = "" if event.whole is None else f"{result.whole:.1f}"
    return (
        f"| {event.title} | {len(result.requests):,} | {len(result.failed)} | {result.worst:.2f} | "
        f"{result.ended - result.began:.0f} | {whole} | {result.recorded:,} of {result.pages:,} | {-result.lost} |"
    )


def timed(service: Service, *arguments: str) -> tuple[float, int]:
    """Seconds and tasks of a run, which has to succeed."""
    start = time.monotonic()
    done = service.play(*arguments)
    if done.returncode:
        sys.exit(f"error: ansible-playbook {' '.join(arguments)} failed:\n{done.stdout[-3000:]}")
    return time.monotonic() - start, tasks(done.stdout)


def main() -> int:
    """Run the benchmark; return the exit status: 1 when an event broke what the scenario's tests assert of failures."""
    parser = argparse.ArgumentParser(
        prog="make bench-operations ARGS=...", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [event.name for event in EVENTS]
    parser.add_argument("--only", action="append", choices=names, help="an event; may be given again (all)")
    parser.add_argument("--standing", action="store_true", help="use the service of the inventory, and let it stand")
    arguments = parser.parse_args()
    service = Service()
    print(f"{datetime.date.today()}, {os.cpu_count()} cores shared by all, Linux {platform.release()}; ", end="")
    print(f"load of the machine before: {os.getloadavg()[0]:.1f}", flush=True)

    speeds: list[tuple[str, float, int]] = []
    if not arguments.standing:
        subprocess.run([BIN / "ansible-playbook", "playbooks/provision.yml"], cwd=REPO, check=True, capture_output=True)
        for title in ("first `site.yml`, 4 droplets", "second `site.yml`, which changes nothing"):
            speeds.append((title, *timed(service, "site.yml")))

    PICTURES.mkdir(exist_ok=True)
    wrong = 0
    print("\n| event | requests | failed | slowest page, s | took, s | whole after, s | hits on record | extra |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for event in EVENTS:
        if arguments.only and event.name not in arguments.only:
            continue
        print(f"{event.title} …", file=sys.stderr, flush=True)
        # Droplets come and go
        result = measure(Service(), event.run)
        print(row(event, result), flush=True)
        draw(event, result, PICTURES / f"{event.name}.png")
        failed, may = (result.failed, event.failed) if event.failed is not None else (result.turned_away, IN_FLIGHT)
        if result.lost > 0 or len(failed) > may or (result.code == 0) != event.succeeds:
            wrong += 1
            print(f"error: {event.title} is not as it should be:\n{result.output[-2000:]}", file=sys.stderr, flush=True)
        if event.run is scale_out:
            speeds.append(("2 → 4 droplets", result.ended - result.began, tasks(result.output)))
            four = deploy_to_four()
            speeds.append(("deploy to 4 hosts", *four))
            speeds += growth()
        if event.run is scale_in:
            speeds.append(("4 → 2 droplets", result.ended - result.began, tasks(result.output)))

    print("\n| run | seconds | tasks |\n|---|--:|--:|")
    for title, seconds, number in speeds:
        print(f"| {title} | {seconds:.{int(seconds < 10)}f} | {number} |")
    return 1 if wrong else 0


def growth() -> list[tuple[str, float, int]]:
    """Medians of what a run that changes nothing takes with 2 app servers and with 4, beside one of a few modules."""
    service = Service()
    runs = {
        f"{title}, {servers} app servers": (playbook, "--limit", f"localhost,all{rest}")
        for title, playbook in (("`site.yml` that changes nothing", "site.yml"), ("facts and four modules", MODULES))
        for servers, rest in ((2, ",!app[2:]"), (4, ""))
    }
    # In turn, so that what else the machine does is every one's
    rounds = [{title: timed(service, *arguments) for title, arguments in runs.items()} for _ in range(5)]
    return [(title, *map(statistics.median, zip(*(one[title] for one in rounds), strict=True))) for title in runs]


def deploy_to_four() -> tuple[float, int]:
    """Seconds and tasks of a deploy that nobody asks anything of meanwhile."""
    service = Service()
    start = time.monotonic()
    done = deploy_good(service)
    if done.returncode:
        sys.exit(f"error: the deploy to 4 hosts failed:\n{done.stdout[-3000:]}")
    return time.monotonic() - start, tasks(done.stdout)


if __name__ == "__main__":
    sys.exit(main())
