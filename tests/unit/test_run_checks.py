# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the checks count is what pytest says, however molecule frames it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts import run_checks
from scripts.run_checks import Check, count, failures


@pytest.mark.parametrize(
    ("output", "counted"),
    [
        ("391 passed in 31.99s\n", (391, 0)),
        ("\x1b[2m│\x1b[0m 2 failed, 13 passed, 2 errors in 80.35s (0:01:20)\n", (13, 4)),
        ("===== 1 failed, 3 skipped in 0.10s =====\n", (0, 1)),
        ("1 passed in 0.1s\nsomething else\n3 passed, 1 warning in 0.1s\n", (3, 0)),
        ("All checks passed!\nPassed: 0 failure(s), 0 warning(s) in 136 files processed\n", (0, 0)),
        ("", (0, 0)),
    ],
)
def test_last_summary_counts(output: str, counted: tuple[int, int]) -> None:
    assert count(output) == counted


def test_failures_are_a_line_each_however_molecule_breaks_them() -> None:
    output = (
        "  \x1b[2m│\x1b[0m =========================== short test summary info\n"
        "  \x1b[2m│\x1b[0m   ============================\n"
        "  \x1b[2m│\x1b[0m FAILED tests/test_operations.py::test_event[rollback]\n"
        "  \x1b[2m│\x1b[0m   - AssertionError: 3 of 1200\n"
        "  \x1b[2m│\x1b[0m   failed\n"
        "ERROR tests/test_data.py::test_site - AssertionError: PLAY [Inventory] ***\n"
        "fatal: [app-1]: FAILED! => gone through\n"
        "fatal: [app-2]: FAILED! => msg: No space\n"
        "  \x1b[2m│\x1b[0m ERROR tests/test_lb.py\n"
        "  \x1b[2m│\x1b[0m 1 failed, 2 passed, 2 errors in 660.65s (0:11:00)\n"
        "CRITICAL Verifier tests failed\n"
    )
    assert failures(output) == [
        "tests/test_operations.py::test_event[rollback] - AssertionError: 3 of 1200 failed",
        "tests/test_data.py::test_site - fatal: [app-2]: FAILED! => msg: No space",
        "tests/test_lb.py",
    ]
    task = "  \x1b[2m│\x1b[0m fatal: [lb-1]: FAILED! =>\n  │     msg: No\n  │     space.\n  │ \n  │ PLAY RECAP\n"
    assert failures(f"PLAY [One]\n{task}CRITICAL ended\n") == [
        "fatal: [lb-1]: FAILED! => msg: No space.",
        *["fatal: [lb-1]: FAILED! =>", "msg: No", "space.", "PLAY RECAP", "CRITICAL ended"],
    ]
    assert failures("one\n\n  \x1b[31mtwo\x1b[0m\nthree\nfour\nfive\nsix\n") == ["two", "three", "four", "five", "six"]


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Runs other checks than the project's, in a folder of the test; returns the exit status and what was shown."""

    def run(*checks: Check) -> tuple[int, str]:
        monkeypatch.setattr(run_checks, "CHECKS", checks)
        monkeypatch.setattr(run_checks, "LOGS", tmp_path)
        monkeypatch.setattr(run_checks, "REPO", tmp_path)
        monkeypatch.setattr("sys.argv", ["run_checks.py"])
        status = run_checks.main()
        return status, capsys.readouterr().out

    return run


def test_droplets_that_could_not_be_had_get_one_more_chance_and_is_shown(
    tmp_path: Path, run: Callable[..., tuple[int, str]]
) -> None:
    script = "if [ -e tried ]; then echo '3 passed in 1.0s'; else touch tried; echo 'error: no network'; exit 1; fi"
    broken = "echo '1 failed, 2 passed in 1.0s'; echo again >> tries; exit 1"
    status, shown = run(
        Check("hiccup", ("sh", "-c", script), droplets=True), Check("broken", ("sh", "-c", broken), droplets=True)
    )

    assert status == 1
    assert "hiccup was run again: it had no droplets yet. It ended with:\nerror: no network\n" in shown
    assert shown.endswith("\n5 passed, 1 failed\n")
    assert (tmp_path / "tries").read_text() == "again\n"


def test_checks_without_droplets_run_side_by_side_and_before_those_with(run: Callable[..., tuple[int, str]]) -> None:
    meet = "touch $0; until [ -e one ] && [ -e other ]; do :; done"
    status, shown = run(
        Check("droplets", ("sh", "-c", "test -e one && test -e other"), droplets=True),
        Check("one", ("sh", "-c", meet, "one")),
        Check("other", ("sh", "-c", meet, "other")),
        Check("refused", ("sh", "-c", "echo no; exit 1")),
    )

    assert status == 1
    assert re.search(r"\nrefused +0 +1 +\d+\.\d\n  no\n", shown)
    assert shown.endswith("\n3 passed, 1 failed\n")


def test_as_many_at_a_time_as_there_are_labs_and_what_measures_alone(run: Callable[..., tuple[int, str]]) -> None:
    # Each waits until the other one has begun, in another lab
    meet = 'touch $LAB; until [ -e test ] && [ -e test2 ]; do :; done; echo "1 passed in 1.0s"'
    alone = 'echo $LAB with $(ls test test2); rm test; echo "1 passed in 1.0s"'
    status, shown = run(
        Check("alone", ("sh", "-c", alone), droplets=True, alone=True),
        Check("one", ("sh", "-c", meet), droplets=True),
        Check("other", ("sh", "-c", meet), droplets=True),
    )

    assert status == 0
    assert "\ntest with test test2\n" in shown
    assert shown.endswith("\n3 passed, 0 failed\n")


def test_patient_ones_give_way_beside_what_measures_alone(run: Callable[..., tuple[int, str]]) -> None:
    meet = "touch $0; until [ -e alone ] && [ -e patient ]; do :; done; nice >$0.niceness"
    status, shown = run(
        Check("patient", ("sh", "-c", meet, "patient"), patient=True),
        Check("droplets", ("sh", "-c", "test ! -e patient"), droplets=True),
        Check("alone", ("sh", "-c", meet, "alone"), droplets=True, alone=True),
        Check(
            "niceness",
            ("sh", "-c", "until [ -s patient.niceness ]; do :; done; cat patient.niceness alone.niceness"),
            droplets=True,
            alone=True,
        ),
    )

    assert status == 0
    assert "\n19\n0\n" in shown
    assert shown.endswith("\n4 passed, 0 failed\n")
