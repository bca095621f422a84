# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock's holder is known again as long as it runs, and only then."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = str(Path(__file__).resolve().parents[3] / "playbooks" / "files" / "playbook_run.py")


@pytest.fixture
def playbook(tmp_path: Path) -> str:
    """A program called ansible-playbook that runs what it is given, in a child of a child, as Ansible does."""
    program = tmp_path / "ansible-playbook"
    program.write_text(f'#!/bin/bash\nbash -c "{sys.executable} $1; true"\nread -t "${{2:-0.1}}"\ntrue\n')
    program.chmod(0o755)
    return str(program)


def asked(*arguments: str) -> str:
    done = subprocess.run([sys.executable, SCRIPT, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def test_run_is_the_playbook_and_not_its_children(playbook: str) -> None:
    with subprocess.Popen(
        [playbook, SCRIPT, "30"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        holder = process.stdout.readline()
        assert json.loads(holder)["pid"] == process.pid
        assert asked(f"held by {holder}") == "may go on"
        process.communicate("\n")
    assert asked(f"held by {holder}") == "ended"


def changed(**fields: Any) -> str:
    return json.dumps({**json.loads(asked()), **fields})


def test_another_process_of_that_number_is_not_it() -> None:
    assert asked(changed(pid=1, started="never")) == "ended"


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
def test_one_that_can_not_be_asked_may_go_on(holder: str) -> None:
    assert asked(holder) == "may go on"
