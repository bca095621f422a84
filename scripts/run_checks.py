# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run every check of the project, all of them even when one fails, and sum them up.

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
import time
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
LOGS = REPO / ".build" / "log"
PYTEST_SUMMARY = re.compile(r"(?P<counts>\d+ (?:passed|failed|errors?|skipped)\b.*) in [\d.]+s\b")
PYTEST_FAILURE = re.compile(r"(?:FAILED|ERROR) (?=\S+\.py\b)")
# Colours, and the frame that molecule puts around what its verifier says
FRAME = re.compile(r"^(?:[ ]|\x1b\[[\d;]*m)*│|\x1b\[[\d;]*m", re.MULTILINE)
DEBIAN_12 = ("env", "MOLECULE_IMAGE=debian-12-x64")
HAPROXY = ("molecule", "test", "-s", "haproxy")
APP = ("molecule", "test", "-s", "app")
DATA = ("molecule", "test", "-s", "data")
OPERATIONS = ("molecule", "test", "-s", "operations")
# No droplet stands, with its service on it, in less
DROPLETS_SECONDS = 20
WORKFLOWS = tuple(str(file) for file in sorted((REPO / ".github" / "workflows").iterdir()))
EMPTY_INVENTORY = ("ANSIBLE_INVENTORY=/dev/null", "ANSIBLE_INVENTORY_ENABLED=ini")


@dataclass(frozen=True)
class Check:
    """A command, and what it is called; `droplets`: it needs a lab; `quick`: it doesn't, and takes a minute at most."""

    name: str
    command: tuple[str, ...]
    droplets: bool = False
    quick: bool = True


CHECKS = (
    Check("ruff", ("ruff", "check", ".")),
    Check("ruff format", ("ruff", "format", "--check", ".")),
    Check("mypy", ("mypy",)),
    Check("yamllint", ("yamllint", "--strict", ".")),
    Check("workflows", ("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS)),
    # The project's own inventory needs an account, so it gets an empty one
    Check("ansible-lint", ("env", *EMPTY_INVENTORY, "ansible-lint", "--offline", "--strict")),
    Check("docs", ("scripts/docs",)),
    Check("tested options", ("python", "scripts/untested_options.py")),
    Check("unit tests", ("pytest", "tests/unit", "--numprocesses", "auto")),
    Check("sanity", ("scripts/sanity",), quick=False),
    Check("plugins on droplets", ("scripts/integration",), droplets=True),
    Check("molecule, Debian 13", ("molecule", "test"), droplets=True),
    Check("molecule, Debian 12", (*DEBIAN_12, "molecule", "test"), droplets=True),
    Check("haproxy, Debian 13", HAPROXY, droplets=True),
    Check("haproxy, Debian 12", (*DEBIAN_12, *HAPROXY), droplets=True),
    Check("app, Debian 13", APP, droplets=True),
    Check("app, Debian 12", (*DEBIAN_12, *APP), droplets=True),
    Check("data, Debian 13", DATA, droplets=True),
    Check("data, Debian 12", (*DEBIAN_12, *DATA), droplets=True),
    Check("operations, Debian 13", OPERATIONS, droplets=True),
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
    """What pytest says of each failed test at its end, a line of at most so many characters each.

    Of what an Ansible run said, the last task that failed is what matters.
    """
    _, _, end = FRAME.sub("", output).rpartition("short test summary info")
    summary = PYTEST_SUMMARY.search(end)
    text = " ".join(end[: summary.start() if summary else None].split())
    said = [re.sub(r" - .*(?= fatal: \[)", " -", part) for part in PYTEST_FAILURE.split(text)[1:]]
    return [textwrap.shorten(part, width, placeholder=" …") for part in said]


def log_of(name: str) -> Path:
    return LOGS / f"{name.replace(',', '').replace(' ', '-')}.log"


def run(check: Check) -> tuple[int, int, float]:
    """Run one check with its output on the screen and in a log; return (passed, failed, seconds)."""
    print(f"\n== {check.name}: {' '.join(check.command)}", flush=True)
    start = time.monotonic()
    output = []
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    with log_of(check.name).open("w") as file:
        process = subprocess.Popen(
            check.command,
            cwd=REPO,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.write(line)
            file.write(line)
            output.append(line)
        status = process.wait()
    passed, failed = count("".join(output))
    if not passed + failed:
        passed, failed = (1, 0) if status == 0 else (0, 1)
    elif status and not failed:
        failed = 1
    return passed, failed, time.monotonic() - start


def last_lines(name: str, number: int = 40) -> list[str]:
    """What the log of a check ends with: where someone sees only the end of the output, too, it says why."""
    return log_of(name).read_text().splitlines()[-number:]


def main() -> int:
    """Run the checks and print the table; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="leave out the checks that need droplets or minutes")
    quick = parser.parse_args().quick
    LOGS.mkdir(parents=True, exist_ok=True)
    results = {}
    notes = []
    for check in CHECKS:
        if quick and (check.droplets or not check.quick):
            continue
        results[check.name] = run(check)
        # So soon there were no droplets yet: that is shown, and they get one more chance
        passed, failed, seconds = results[check.name]
        if check.droplets and failed and not passed and seconds < DROPLETS_SECONDS:
            notes.append(f"\n== {check.name} was run again: it had no droplets yet. It ended with:")
            notes += last_lines(check.name)
            results[check.name] = run(check)

    for name, (_, failed, _) in results.items():
        if failed:
            notes += [f"\n== {name} failed; {log_of(name)} ends with:", *last_lines(name)]
    print(*notes, sep="\n")

    print(f"\n{'check':<22}{'passed':>8}{'failed':>8}{'seconds':>9}")
    for name, (passed, failed, seconds) in results.items():
        print(f"{name:<22}{passed:>8}{failed:>8}{seconds:>9.1f}")
        if failed:
            for line in failures(log_of(name).read_text()):
                print(f"  {line}")
    total_passed = sum(passed for passed, _, _ in results.values())
    total_failed = sum(failed for _, failed, _ in results.values())
    print(f"\n{total_passed} passed, {total_failed} failed")
    return 1 if total_failed else 0


if __name__ == "__main__":
    sys.exit(main())
