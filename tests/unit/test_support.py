# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests share does what they count on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support import programs
from support.waiting import NotInTime, wait_until


def test_waiting_goes_on_over_errors_until_it_is_ready() -> None:
    answers: Iterator[object] = iter([OSError("refused"), "", 0, "ready", "too far"])

    def ready() -> object:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    wait_until("an answer", ready, 5, pause=0.001)
    assert next(answers) == "too far"


def test_waiting_ends_with_what_was_seen_last() -> None:
    def refuse() -> None:
        raise ConnectionRefusedError("refused")

    with pytest.raises(NotInTime, match=r"a word: not within 0\.01 s, but ''"):
        wait_until("a word", lambda: "", 0.01)
    with pytest.raises(NotInTime, match=r"but ConnectionRefusedError\('refused'\)") as caught:
        wait_until("an answer", refuse, 0.01)
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


def test_a_failed_assertion_ends_waiting_at_once() -> None:
    def ended() -> None:
        raise AssertionError("the process has ended")

    with pytest.raises(AssertionError, match="the process has ended"):
        wait_until("an answer", ended)


@pytest.mark.parametrize(
    ("variables", "outcome"),
    [({}, pytest.skip.Exception), ({"CI": "true"}, pytest.fail.Exception), ({"NO_SKIPS": "1"}, pytest.fail.Exception)],
)
def test_a_missing_program_skips_a_test_and_fails_it_where_all_must_run(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], outcome: type[BaseException]
) -> None:
    for name in ("CI", "NO_SKIPS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(outcome, match="no-such-program is not installed"):
        programs.find_program("no-such-program")
