# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the checks count is what pytest says, however molecule frames it."""

from __future__ import annotations

import pytest

from scripts.run_checks import count


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
