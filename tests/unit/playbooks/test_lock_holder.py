# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock's holder is recognised as long as it runs, and only then."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import REPO

SCRIPT = str(REPO / "roles" / "rollout" / "files" / "lock_holder.py")


@pytest.fixture
def playbook(tmp_path: Path) -> str:
    """A program called ansible-playbook that runs its words in a child of a child, until it is told to end."""
    program = tmp_path / "ansible-playbook"
    program.write_text('#!/bin/bash\nbash -c \'"$@"; true\' - "$@"\nread -r\ntrue\n')
    program.chmod(0o755)
    return str(program)


def run(*arguments: str) -> str:
    done = subprocess.run([sys.executable, SCRIPT, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def changed(**fields: Any) -> str:
    return json.dumps({**json.loads(run("describe", "test").removeprefix("held by ")), **fields})


def test_holder_is_the_playbook_and_not_its_children(playbook: str) -> None:
    with subprocess.Popen(
        [playbook, sys.executable, SCRIPT, "describe", "deploy"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        holder = process.stdout.readline()
        described = json.loads(holder.removeprefix("held by "))
        assert (described["pid"], described["for"]) == (process.pid, "deploy")
        # This test's own run is another one
        assert run("ask", holder) == "may go on"
        process.communicate("\n")
    assert run("ask", holder) == "ended"


def test_run_recognises_its_own_lock() -> None:
    assert run("ask", f"held by {changed()}") == "mine"


def test_another_process_with_that_number_is_not_it() -> None:
    assert run("ask", changed(pid=1, started="never")) == "ended"


@pytest.mark.parametrize(
    "holder",
    [
        "",
        "nonsense",
        "{",
        "[]",
        '{"pid": "x"}',
        pytest.param(changed(host="another-machine", pid=999999999), id="another machine"),
    ],
)
def test_holder_that_cannot_be_asked_may_go_on(holder: str) -> None:
    assert run("ask", holder) == "may go on"
