# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one file of the project says of another one is true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

REPO = Path(__file__).resolve().parents[2]
GALAXY = yaml.safe_load((REPO / "galaxy.yml").read_text())


def number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def test_versions_agree() -> None:
    newest = re.search(r"^v(\d+\.\d+\.\d+)$", (REPO / "CHANGELOG.rst").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == GALAXY["version"]
    for file in (REPO / "plugins").glob("*/*.py"):
        for added in re.findall(r"^\s*version_added: (\S+)$", file.read_text(), re.MULTILINE):
            assert number(added) <= number(GALAXY["version"]), file.name


def test_every_module_is_in_an_action_group() -> None:
    groups: dict[str, list[str]] = yaml.safe_load((REPO / "meta" / "runtime.yml").read_text())["action_groups"]
    modules = {file.stem for file in (REPO / "plugins" / "modules").glob("[!_]*.py")}

    # The others have no option that a play would set once for all its tasks
    others = {"compare", "container_log", "container_ready", "first_boot", "image_digest"}
    assert {module for group in groups.values() for module in group} == modules - others


def test_actions_are_pinned_and_jobs_may_only_read() -> None:
    for file in (REPO / ".github" / "workflows").iterdir():
        workflow: dict[str, Any] = yaml.safe_load(file.read_text())
        assert workflow["permissions"] == {"contents": "read"}, file.name
        for name, job in workflow["jobs"].items():
            assert "permissions" not in job, name
            for step in job["steps"]:
                assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step.get("uses", f"none@{'0' * 40}")), step


def test_python_and_ansible_core_are_those_that_are_promised() -> None:
    readme = (REPO / "README.md").read_text()
    requires = yaml.safe_load((REPO / "meta" / "runtime.yml").read_text())["requires_ansible"]

    assert f"ansible-core {requires.removeprefix('>=').removesuffix('.0')} or newer" in readme
    for name in GALAXY["dependencies"]:
        assert name in readme


def test_tests_that_keep_the_promises_exist() -> None:
    table = (REPO / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`(\S+\.py)::(test_\w+)(?:\[\S+\])?`", table)

    assert named
    for path, name in named:
        assert f"\ndef {name}(" in (REPO / path).read_text(), name


def test_programs_that_may_ask_are_told_that_nobody_answers() -> None:
    """They would wait for ever where there is a terminal."""
    must_say = {
        r"\bpsql --no-psqlrc": "--no-password",
        r"\bpip\b['\", ]+(?:install|download)\b": "--no-input",
        r"\bapt-get install\b": "DEBIAN_FRONTEND=noninteractive",
    }
    # A build of Docker's has no terminal
    files = [
        file
        for folder in ("plugins", "roles", "scripts")
        for file in (REPO / folder).rglob("*")
        if file.is_file() and file.name != "Dockerfile" and file.suffix not in (".md", ".pyc")
    ]
    for program, word in must_say.items():
        texts = {file: file.read_text() for file in files if re.search(program, file.read_text())}
        assert texts, program
        assert [file for file, text in texts.items() if word not in text] == [], program
