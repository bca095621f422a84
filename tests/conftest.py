# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all tests have in common."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest
from ansible.plugins.loader import init_plugin_loader
from support.programs import find_haproxy, haproxy_programs

LINUX_ONLY = [Path(__file__).parent / "unit" / name for name in ("hits", "lab")]
# Before the first import from the collection, so that it is found as Ansible finds it
init_plugin_loader([])


# Where there is none, a test that wants one says so
HAPROXIES = haproxy_programs() or {"none": ""}


@pytest.fixture(
    scope="session",
    params=[
        pytest.param(path, id=name, marks=[pytest.mark.slow] if number else [])
        for number, (name, path) in enumerate(HAPROXIES.items())
    ],
)
def haproxy_program(request: pytest.FixtureRequest) -> str:
    """The path of each HAProxy program in turn, to start on a private socket or to check a configuration with."""
    return str(request.param or find_haproxy())


@pytest.fixture(scope="session")
def one_haproxy_program() -> str:
    """The path of one HAProxy program, for tests that take long."""
    return find_haproxy()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip on other systems what runs on servers, or makes them."""
    if sys.platform == "linux":
        return
    for item in items:
        if any(item.path.is_relative_to(folder) for folder in LINUX_ONLY):
            item.add_marker(pytest.mark.skip("the hits app and the lab run on Linux"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once for each reason how many tests were skipped."""
    reasons = Counter(report.longrepr[2] for report in terminalreporter.stats.get("skipped", []))
    for reason, number in reasons.items():
        terminalreporter.write_line(f"{number} x {reason}")
