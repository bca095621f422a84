# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What make bench-haproxy computes of what it found, and the tables that it shows."""

from __future__ import annotations

import re
import statistics
import typing as t
from dataclasses import dataclass


class FiguresError(Exception):
    """Why there is no figure, in a sentence that can be shown."""


@dataclass(frozen=True)
class Sample:
    """What one turn at full speed found: requests a second, milliseconds, microseconds of processor time; counts."""

    rate: float
    p99: float
    cpu: float
    requests: int
    # None: it has no log
    lost: int | None
    failed: int


@dataclass(frozen=True)
class Paced:
    """What one turn at a fixed rate found: requests a second, milliseconds, microseconds of processor time."""

    rate: float
    p50: float
    p99: float
    cpu: float
    failed: int


Row = t.TypeVar("Row")


def quartiles(values: t.Sequence[float]) -> tuple[float, float, float]:
    """Return the first quartile, the median and the third one."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, median, high


def spread(values: t.Sequence[float], digits: int = 2) -> str:
    """Show the median and, in brackets, the quartiles: half of the rounds are between them."""
    low, median, high = (f"{value:,.{digits}f}" for value in quartiles(values))
    return f"{median} ({low} to {high})"


def ratios(own: t.Sequence[float], other: t.Sequence[float]) -> list[float]:
    """Return each round's ratio: in one round all had the machine alike, from one to the next it may have changed."""
    return [one / another for one, another in zip(own, other, strict=True)]


def percentile(values: t.Sequence[float], percent: float) -> float:
    """Return the value that so many percent of the values don't exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-len(ordered) * percent // 100) - 1)]


def with_kept_back(times: t.Iterable[float], interval: float) -> list[float]:
    """Return the times with those of requests that a slow answer kept back.

    A client that sends one request each `interval` sends none while it waits for an answer. What was due meanwhile
    would have waited for the rest of that time.
    """
    found = []
    for time in times:
        while time > 0:
            found.append(time)
            time -= interval
            if time < interval / 100:
                break
    return found


def paced_log(text: str) -> list[tuple[int, int, int]]:
    """Return start (microseconds), status and time (microseconds) of each line of h2load's log."""
    lines = []
    for line in text.splitlines():
        fields = line.split("\t")
        if len(fields) != 3 or not all(re.fullmatch(r"-?\d+", field) for field in fields):
            raise FiguresError(f"h2load logged {line!r}, not start, status and time: is its format another one?")
        start, status, time = map(int, fields)
        lines.append((start, status, time))
    return lines


def paced(text: str, warm_up: float, interval: float) -> tuple[float, float, float, int]:
    """Return requests a second, p50 and p99 (milliseconds) and failures of h2load's log, without its first seconds."""
    lines = sorted(paced_log(text))
    lines = [line for line in lines if line[0] >= lines[0][0] + warm_up * 1e6]
    good = [time / 1000 for _, status, time in lines if status == 200]
    if len(good) < 2:
        raise FiguresError(f"h2load has {len(good)} answers with status 200 after {warm_up} s")
    times = with_kept_back(good, interval * 1000)
    seconds = (lines[-1][0] - lines[0][0]) / 1e6
    return (len(lines) - 1) / seconds, percentile(times, 50), percentile(times, 99), len(lines) - len(good)


def speed_table(samples: t.Mapping[str, t.Sequence[Sample]], own: str) -> list[str]:
    """Compare `own` with the others: above 1 it answers more requests, below 1 it takes less processor time."""
    lines = [
        f"| | requests/s | {own} answers | CPU µs/request | {own} takes | p99 ms | failed | log lines lost |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, rounds in samples.items():
        rates, mine = [one.rate for one in rounds], [one.rate for one in samples[own]]
        cpus, my_cpus = [one.cpu for one in rounds], [one.cpu for one in samples[own]]
        logged = [one for one in rounds if one.lost is not None]
        lost = f"{sum(one.lost or 0 for one in logged):,} of {sum(one.requests for one in logged):,}" if logged else ""
        same = name == own
        lines.append(
            f"| {name} | {statistics.median(rates):,.0f} | {'' if same else spread(ratios(mine, rates)) + ' times'} "
            f"| {statistics.median(cpus):.1f} | {'' if same else spread(ratios(my_cpus, cpus)) + ' times'} "
            f"| {statistics.median(one.p99 for one in rounds):.1f} | {sum(one.failed for one in rounds)} | {lost} |"
        )
    return lines


def costs_table(
    kept: t.Mapping[str, t.Sequence[Sample]],
    new: t.Mapping[str, t.Sequence[Sample]],
    variables: t.Mapping[str, str],
    own: str,
) -> list[str]:
    """Show what each default costs: what the file without it saves."""
    lines = [
        "| default | turned off by | kept: CPU µs/request | kept: requests without it "
        "| new: CPU µs/request | new: requests without it |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for name, variable in variables.items():
        cells = []
        for samples in (kept, new):
            with_it, without = samples[own], samples[name]
            costs = [one.cpu - other.cpu for one, other in zip(with_it, without, strict=True)]
            faster = ratios([one.rate for one in without], [one.rate for one in with_it])
            cells += [spread(costs, 1), spread(faster) + " times"]
        lines.append(f"| {name} | {variable} | {' | '.join(cells)} |")
    return lines


def paced_table(samples: t.Mapping[int, t.Mapping[str, t.Sequence[Paced]]]) -> list[str]:
    """Show the latency of each party at each rate."""
    lines = [
        "| requests/s | | p50 ms | p99 ms | CPU µs/request | requests/s sent | failed |",
        "|--:|---|--:|--:|--:|--:|--:|",
    ]
    for rate, parties in samples.items():
        for name, rounds in parties.items():
            lines.append(
                f"| {rate:,} | {name} | {statistics.median(one.p50 for one in rounds):.2f} "
                f"| {spread([one.p99 for one in rounds])} | {statistics.median(one.cpu for one in rounds):.1f} "
                f"| {statistics.median(one.rate for one in rounds):,.0f} | {sum(one.failed for one in rounds)} |"
            )
    return lines


def put(page: str, name: str, lines: t.Sequence[str]) -> str:
    """Return the page with these lines between its comments `figures: NAME` and `end of figures`."""
    begin, end = f"<!-- figures: {name} -->\n", "\n<!-- end of figures -->"
    before, is_there, rest = page.partition(begin)
    _, is_closed, after = rest.partition(end)
    if not is_there or not is_closed:
        raise FiguresError(f"the page has no lines {begin.strip()} and {end.strip()} for the figures")
    return before + begin + "\n" + "\n".join(lines) + "\n" + end + after
