# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What make bench-haproxy computes of what it found."""

from __future__ import annotations

import pytest

from benchmarks import load_balancer_figures as figures


def sample(rate: float, cpu: float, lost: int | None = 0) -> figures.Sample:
    return figures.Sample(rate=rate, p99=5, cpu=cpu, requests=1000, lost=lost, failed=0)


def test_spread_has_the_median_and_the_quartiles() -> None:
    assert figures.spread([4, 1, 3, 2, 100]) == "3.00 (2.00 to 4.00)"
    assert figures.spread([7], 0) == "7 (7 to 7)"


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (1, 1), (50, 50), (99, 99), (99.5, 100), (100, 100)])
def test_percentile_is_a_value_that_was_measured(percent: float, value: float) -> None:
    assert figures.percentile(list(range(100, 0, -1)), percent) == value


def test_ratio_is_that_of_one_round() -> None:
    # The machine had half of its speed in the second round, for both
    lines = figures.speed_table(
        {"own": [sample(120, 8), sample(60, 16)], "other": [sample(100, 10), sample(50, 20)]}, "own"
    )

    assert "| 1.20 (1.20 to 1.20) times | 15.0 | 0.80 (0.80 to 0.80) times |" in lines[-1]


def test_lost_lines_are_those_of_all_rounds_and_empty_without_a_log() -> None:
    *_, own, silent = figures.speed_table(
        {"own": [sample(1, 1, 2), sample(1, 1, 3)], "silent": [sample(1, 1, None)] * 2}, "own"
    )

    assert own.endswith("| 5 of 2,000 |")
    assert silent.endswith("|  |")


def test_default_costs_what_the_file_without_it_saves() -> None:
    kept = {"own": [sample(100, 24)], "log": [sample(125, 16)]}
    new = {"own": [sample(10, 60)], "log": [sample(9, 61)]}

    assert figures.costs_table(kept, new, {"log": "`no log`"}, "own")[-1] == (
        "| log | `no log` | 8.0 (8.0 to 8.0) | 1.25 (1.25 to 1.25) times "
        "| -1.0 (-1.0 to -1.0) | 0.90 (0.90 to 0.90) times |"
    )


def test_requests_that_a_slow_answer_kept_back_are_slow_too() -> None:
    assert figures.with_kept_back([5, 20], 20) == [5, 20]
    assert figures.with_kept_back([70], 20) == [70, 50, 30, 10]


def test_log_of_h2load_is_read_without_its_first_seconds() -> None:
    starts = [0, 400_000, *(500_000 + 1_000 * number for number in range(101))]
    text = "".join(f"{start}\t{500 if start == 550_000 else 200}\t{2_000}\n" for start in reversed(starts))

    assert figures.paced(text, warm_up=0.5, interval=0.02) == (1000, 2, 2, 1)


@pytest.mark.parametrize("text", ["0 200 12\n", "a\tb\tc\n", "1\t2\n"])
def test_log_of_another_form_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(figures.FiguresError, match=r"h2load logged .*, not start, status and time"):
        figures.paced(text, 0.5, 0.02)


def test_run_without_answers_is_no_figure() -> None:
    with pytest.raises(figures.FiguresError, match="h2load has 0 answers with status 200"):
        figures.paced("1\t503\t12\n2\t-1\t12\n", 0, 0.02)


def test_figures_replace_those_of_the_page() -> None:
    end = "\n<!-- end of figures -->\n"
    page = f"a\n<!-- figures: one -->\n\nold\n{end}b\n<!-- figures: two -->\n{end}c\n"

    once = figures.put(page, "one", ["new"])

    assert "old" not in once
    assert once == figures.put(once, "one", ["new"])
    assert once.startswith("a\n<!-- figures: one -->\n\nnew\n\n<!-- end of figures -->\nb\n")
    assert figures.put(once, "two", ["2"]).endswith("<!-- figures: two -->\n\n2\n\n<!-- end of figures -->\nc\n")


def test_page_without_a_place_for_figures_is_refused() -> None:
    with pytest.raises(figures.FiguresError, match="no lines <!-- figures: three -->"):
        figures.put("text", "three", [])
