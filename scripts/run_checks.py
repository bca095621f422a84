# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run every check of the project, all of them even if one fails, and sum them up.

Two checks run at a time, because none keeps two cores busy. Each of the two has its own lab for droplets. On two cores
`make quick` may take 2 minutes and `make test` 60; a run that takes longer says so.

The last line reads `N passed, N failed`: the tests that pytest and molecule's verifier counted, and one for each other
check.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import textwrap
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
LOGS = REPO / ".build" / "log"
PYTEST_SUMMARY = re.compile(r"(?P<counts>\d+ (?:passed|failed|errors?|skipped)\b.*) in [\d.]+s\b")
PYTEST_FAILURE = re.compile(r"(?:FAILED|ERROR) (?=\S+\.py\b)")
# What Ansible says of a task that failed, up to the next thing that it says
ANSIBLE_FAILURE = re.compile(r"^ *fatal: \[.*?(?=^ *(?:$|TASK |PLAY |\S+: \[))", re.MULTILINE | re.DOTALL)
# Colours, and the frame that molecule puts around what its verifier says
FRAME = re.compile(r"^(?:[ ]|\x1b\[[\d;]*m)*│|\x1b\[[\d;]*m", re.MULTILINE)
DEBIAN_12 = ("env", "MOLECULE_IMAGE=debian-12-x64")
HAPROXY = ("molecule", "test", "-s", "haproxy")
APP = ("molecule", "test", "-s", "app")
OWN_APP = (*DEBIAN_12, "molecule", "test", "-s", "own-app")
DATA = ("molecule", "test", "-s", "data")
OPERATIONS = ("molecule", "test", "-s", "operations")
# On two cores
QUICK_MINUTES = 2
TEST_MINUTES = 60
# No droplet stands, with its service on it, in less
DROPLETS_SECONDS = 20
# Labs (lab/README.md) in which checks run at the same time
LABS = ("test", "test2")
WORKFLOWS = tuple(str(file) for file in sorted((REPO / ".github" / "workflows").iterdir()))
EMPTY_INVENTORY = ("ANSIBLE_INVENTORY=/dev/null", "ANSIBLE_INVENTORY_ENABLED=ini")


@dataclass(frozen=True)
class Check:
    """A command and its name.

    `droplets`: it needs a lab. `alone`: it would disturb another check with droplets, or be disturbed. `patient`: it
    takes the processor time that such a one leaves. `quick`: it is part of `make quick`, with `quick_options`.
    """

    name: str
    command: tuple[str, ...]
    droplets: bool = False
    alone: bool = False
    patient: bool = False
    quick: bool = True
    quick_options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """How many tests passed and failed, and how long it took; `note` is shown at the end."""

    passed: int
    failed: int
    seconds: float
    note: str = ""


CHECKS = (
    # The longest one without droplets; the others fit beside it
    Check(
        "unit tests",
        # A test that lacks its program fails here, rather than being skipped
        # Half of the time they wait for something, so two for each core
        (
            "env",
            "NO_SKIPS=1",
            "pytest",
            "tests/unit",
            "--numprocesses",
            str(2 * (os.cpu_count() or 1)),
            "--dist",
            "worksteal",
        ),
        quick_options=("-m", "not slow"),
    ),
    Check("ruff", ("ruff", "check", ".")),
    Check("ruff format", ("ruff", "format", "--check", ".")),
    Check("mypy", ("mypy",), patient=True),
    Check("yamllint", ("yamllint", "--strict", ".")),
    Check("workflows", ("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS)),
    # The project's own inventory needs an account, so it gets an empty one
    Check("ansible-lint", ("env", *EMPTY_INVENTORY, "ansible-lint", "--offline", "--strict", "-q"), patient=True),
    Check("docs", ("scripts/docs",), patient=True),
    Check("tested options", ("python", "scripts/untested_options.py")),
    Check("internal names", ("python", "scripts/internal_names.py")),
    Check("sanity", ("scripts/sanity",), patient=True, quick=False),
    # The first one builds the app's image, which later ones find
    Check("molecule, Debian 13", ("molecule", "test"), droplets=True),
    Check("plugins on droplets", ("scripts/integration",), droplets=True),
    Check("data, Debian 13", DATA, droplets=True),
    Check("haproxy, Debian 13", HAPROXY, droplets=True),
    Check("app, Debian 13", APP, droplets=True),
    # Every role, and deploys, rollbacks and scaling
    Check("own-app, Debian 12", OWN_APP, droplets=True),
    Check("operations, Debian 13", OPERATIONS, droplets=True, alone=True),
)


def count(output: str) -> tuple[int, int]:
    """Return (passed, failed) of the last pytest summary in the output; (0, 0) where there is none."""
    passed = failed = 0
    for line in FRAME.sub("", output).splitlines():
        found = PYTEST_SUMMARY.search(line)
        if found:
            counts = {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", found["counts"])}
            passed = counts.get("passed", 0)
            failed = counts.get("failed", 0) + counts.get("error", 0) + counts.get("errors", 0)
    return passed, failed


def failures(output: str, width: int = 400) -> list[str]:
    """What pytest says at its end about each failed test, a line of at most `width` characters each.

    Of the output of an Ansible run, the line of the last task that failed. Of a check without pytest, the tasks that
    failed and the last lines.
    """
    plain = FRAME.sub("", output)
    _, found, end = plain.rpartition("short test summary info")
    if not found:
        tasks = [textwrap.shorten(task, width, placeholder=" …") for task in ANSIBLE_FAILURE.findall(plain)]
        return [*tasks[-3:], *[line.strip() for line in plain.splitlines() if line.strip()][-5:]]
    summary = PYTEST_SUMMARY.search(end)
    text = " ".join(end[: summary.start() if summary else None].split())
    said = [re.sub(r" - .*(?= fatal: \[)", " -", part) for part in PYTEST_FAILURE.split(text)[1:]]
    return [textwrap.shorten(part, width, placeholder=" …") for part in said]


def log_of(name: str) -> Path:
    return LOGS / f"{name.replace(',', '').replace(' ', '-')}.log"


def run(check: Check, lab: str = "", show: bool = True, patient: bool = False) -> Result:
    """Run one check. Its output goes to a log and, with `show`, to the screen. If `patient`, it gives way to others."""
    command = ("nice", "-n", "19", *check.command) if patient else check.command
    print(f"\n== {check.name}: {' '.join(check.command)}" + (f" (lab {lab})" if lab else ""), flush=True)
    start = time.monotonic()
    output = []
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"} | ({"LAB": lab} if lab else {})
    # A line at a time, so that it can be followed
    with log_of(check.name).open("w", buffering=1) as file:
        process = subprocess.Popen(
            command,
            cwd=REPO,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            if show:
                sys.stdout.write(line)
            file.write(line)
            output.append(line)
        status = process.wait()
    passed, failed = count("".join(output))
    if not passed + failed:
        passed, failed = (1, 0) if status == 0 else (0, 1)
    elif status and not failed:
        failed = 1
    return Result(passed, failed, time.monotonic() - start)


def run_in_lane(check: Check, lab: str, show: bool) -> Result:
    """Run one check. If it failed before it can have had droplets, note that and run it once more."""
    if not check.droplets:
        return run(check, show=show)
    result = run(check, lab, show)
    if not result.failed or result.passed or result.seconds >= DROPLETS_SECONDS:
        return result
    note = f"\n== {check.name} was run again: it had no droplets yet. It ended with:"
    note = "\n".join([note, *last_lines(check.name)])
    return replace(run(check, lab, show), note=note)


def run_side_by_side(checks: list[Check]) -> dict[str, Result]:
    """Run the checks in their order, each in the next lab that is free. Their output goes only to their logs."""
    waiting = deque(checks)
    results = {}

    def go_on(lab: str) -> None:
        while waiting:
            check = waiting.popleft()
            result = results[check.name] = run_in_lane(check, lab, show=False)
            counts = f"{result.passed} passed, {result.failed} failed"
            print(f"\n== {check.name}: {counts} in {result.seconds:.0f} s; {log_of(check.name)}", flush=True)

    threads = [threading.Thread(target=go_on, args=(lab,)) for lab in LABS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def last_lines(name: str, number: int = 40) -> list[str]:
    """The end of a check's log, for those who see only the end of the output."""
    return log_of(name).read_text().splitlines()[-number:]


def run_alone(checks: list[Check]) -> dict[str, Result]:
    """Run what is alone with its droplets, one after the other, and the patient ones beside it."""
    results = {}

    def run_patient() -> None:
        for check in checks:
            if check.patient:
                results[check.name] = run(check, show=False, patient=True)

    thread = threading.Thread(target=run_patient)
    thread.start()
    for check in checks:
        if check.alone:
            results[check.name] = run_in_lane(check, LABS[0], show=True)
    thread.join()
    return results


def main() -> int:
    """Run the checks and print the table; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="leave out the checks that need droplets or minutes")
    quick = parser.parse_args().quick
    start = time.monotonic()
    LOGS.mkdir(parents=True, exist_ok=True)
    checks = list(CHECKS)
    if quick:
        checks = [
            replace(check, command=check.command + check.quick_options)
            for check in CHECKS
            if check.quick and not check.droplets
        ]
    last = [check for check in checks if check.alone or (check.patient and not quick)]
    results = run_side_by_side([check for check in checks if not check.droplets and check not in last])
    results |= run_side_by_side([check for check in checks if check.droplets and check not in last])
    results |= run_alone(last)
    # In the order of the table
    results = {check.name: results[check.name] for check in checks}

    notes = [result.note for result in results.values() if result.note]
    for name, result in results.items():
        if result.failed:
            notes += [f"\n== {name} failed; {log_of(name)} ends with:", *last_lines(name)]
    print(*notes, sep="\n")

    print(f"\n{'check':<22}{'passed':>8}{'failed':>8}{'seconds':>9}")
    for name, result in results.items():
        print(f"{name:<22}{result.passed:>8}{result.failed:>8}{result.seconds:>9.1f}")
        if result.failed:
            for line in failures(log_of(name).read_text()):
                print(f"  {line}")
    total_passed = sum(result.passed for result in results.values())
    total_failed = sum(result.failed for result in results.values())
    minutes, budget = (time.monotonic() - start) / 60, QUICK_MINUTES if quick else TEST_MINUTES
    print(f"\n{minutes:.1f} minutes" + (f", more than the {budget} that they should take" if minutes > budget else ""))
    print(f"{total_passed} passed, {total_failed} failed")
    return 1 if total_failed else 0


if __name__ == "__main__":
    sys.exit(main())
