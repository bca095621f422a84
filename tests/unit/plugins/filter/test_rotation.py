# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may be taken out of rotation, and where it returns to, with one, two and three load balancers."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.alphacoder.scaleout.plugins.filter.rotation import rotation

# What a server may be, by a letter: up, up while its check fails, not checked; taken out by an operator; down
LETTERS = {
    "u": ("ready", "UP"),
    "f": ("ready", "UP 1/3"),
    "n": ("ready", "no check"),
    "o": ("drain", "DRAIN"),
    "m": ("maint", "MAINT"),
    "d": ("ready", "DOWN"),
    "D": ("drain", "DOWN"),
}


def answer(number: int, text: str) -> dict[str, Any]:
    """What a load balancer says of servers a, b, ... by a letter each; - for one that it does not have."""
    if text == "?":
        return {"item": f"lb-{number}", "unreachable": True, "msg": "No route to host"}
    if text == "!":
        return {"item": f"lb-{number}", "failed": True, "msg": "No HAProxy", "servers": []}
    servers = [
        {"name": name, "state": LETTERS[letter][0], "status": LETTERS[letter][1]}
        for name, letter in zip("abcdefgh", text, strict=False)
        if letter != "-"
    ]
    return {"item": f"lb-{number}", "servers": servers}


# Load balancers, batch, refused, alone, load balancers that a returns to
CASES = [
    # One load balancer
    ("uu", "a", "", False, "1"),
    ("ff", "a", "", False, "1"),
    ("nn", "a", "", False, "1"),
    ("uuuu", "ab", "", False, "1"),
    # The only one that serves is changed beside itself, and so is the last of several
    ("u", "a", "", True, "1"),
    ("ud", "a", "", True, "1"),
    ("uo", "a", "", True, "1"),
    ("um", "a", "", True, "1"),
    # A batch with the only one that serves, and with others that don't
    ("ud", "ab", "", True, "1"),
    ("uu", "ab", "batch", True, "1"),
    ("uuo", "ab", "batch", True, "1"),
    # Not in rotation: an operator had taken it out, it is down, or it is new
    ("ou", "a", "", False, ""),
    ("mu", "a", "", False, ""),
    ("Du", "a", "", False, ""),
    ("du", "a", "", False, "1"),
    ("-u", "a", "", False, ""),
    # Nobody serves: nothing can be lost
    ("dd", "ab", "", False, "1"),
    ("d", "a", "", False, "1"),
    ("!", "a", "", False, ""),
    ("?", "a", "unreachable", False, ""),
    # Two load balancers
    ("uu uu", "a", "", False, "1 2"),
    ("uu uo", "a", "", True, "1 2"),
    ("uu ou", "a", "", False, "1"),
    ("uo ou", "a", "", True, "1"),
    # Each has another one that would be left, so the batch is one too many
    ("uu uu", "ab", "batch", True, "1 2"),
    ("uu du", "ab", "batch", True, "1 2"),
    ("uuu uuu", "ab", "", False, "1 2"),
    ("uuu uuo", "ab", "batch", True, "1 2"),
    ("uu -u", "a", "", False, "1"),
    # One whose HAProxy is not there serves nobody
    ("uu !", "a", "", False, "1"),
    ("u !", "a", "", True, "1"),
    ("uu ?", "a", "unreachable", False, "1"),
    # Three
    ("uu uu uu", "a", "", False, "1 2 3"),
    ("uu ou uu", "a", "", False, "1 3"),
    ("uu uu uo", "a", "", True, "1 2 3"),
    ("uu ! uo", "a", "", True, "1 3"),
    ("uuu uuu uuu", "ab", "", False, "1 2 3"),
    ("uuu uuu uud", "ab", "batch", True, "1 2 3"),
    ("? uu ?", "a", "unreachable", False, "2"),
]


@pytest.mark.parametrize(("balancers", "batch", "refused", "alone", "returns_to"), CASES)
def test_decision(balancers: str, batch: str, refused: str, alone: bool, returns_to: str) -> None:
    answers = [answer(number, text) for number, text in enumerate(balancers.split(), 1)]
    found = rotation(answers, "a", list(batch))

    says = {"": "", "batch": "would take out every server that gets clients", "unreachable": "cannot be reached"}
    assert says[refused] in found["refusal"]
    assert bool(found["refusal"]) == bool(refused)
    assert found["alone"] == alone
    assert found["returns_to"] == [f"lb-{number}" for number in returns_to.split()]


def test_host_that_an_interrupted_run_took_out_returns_everywhere() -> None:
    answers = [answer(1, "ou"), answer(2, "mu"), answer(3, "-u")]

    assert rotation(answers, "a", ["a"], interrupted=True)["returns_to"] == ["lb-1", "lb-2"]
    assert rotation(answers, "a", ["a"], interrupted=True)["known_by"] == ["lb-1", "lb-2"]


def test_refusal_names_hosts_and_load_balancers() -> None:
    refusal = rotation([answer(1, "uud")], "b", ["a", "b", "c"])["refusal"]
    assert "This batch (a, b, c) would take out every server that gets clients (a, b)." in refusal
    assert "deploy_batch" in refusal

    refusal = rotation([answer(1, "uu"), answer(2, "?"), answer(3, "?")], "a", ["a"])["refusal"]
    assert refusal.startswith("lb-2, lb-3 cannot be reached")
