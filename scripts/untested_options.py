# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List the options of roles, their keys, and the variables of playbooks that no test and no scenario sets.

An option is set where its name stands as a key or an argument: `name: value`, `"name": value`, `name=value`; or among a
test's parameters, before its value: `("name", value`. A playbook's variables are those that its header names after
`Variables`. Exits with 1 if the list is not empty.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

REPO = Path(__file__).resolve().parent.parent
# Where tests and scenarios set variables: their own files, and those of users that they run
TESTS = ("molecule", "tests", "docs/examples")
FOLDERS = (*TESTS, "inventory/group_vars", "playbooks")
SUFFIXES = {".py", ".yml", ".j2"}
SET = r"""(?<![\w-]){name}["']?\s*(:|=(?!=))|[(]\s*("\w+", )?"{name}","""


def options(spec: dict[str, Any]) -> Iterator[str]:
    """The names of options, and of their keys."""
    for name, option in spec.items():
        yield name
        yield from options(option.get("options", {}))


def playbook_variables(playbook: str) -> list[str]:
    """The variables that a playbook's header documents."""
    header = re.match(r"---\n((?:#.*\n)*)", playbook)
    _, _, block = header[1].partition("# Variables") if header else ("", "", "")
    names: dict[str, None] = {}
    for line in block.splitlines():
        # A table with a name in the first column, or prose
        row = re.match(r"#   (\w+)  ", line)
        names |= dict.fromkeys([row[1]] if row else re.findall(r"(?<![\w/<>{])[a-z]+_[a-z_]+(?![\w/])", line))
    names.pop("group_vars", None)
    return list(names)


def is_set(name: str, text: str) -> bool:
    return re.search(SET.format(name=name), text) is not None


def untested_variables(root: Path, text: str) -> dict[str, list[str]]:
    """For each playbook that users run, the variables that the text of all tests and scenarios sets nowhere."""
    found = {}
    for playbook in sorted((root / "playbooks").glob("[!_]*.yml")):
        missing = [name for name in playbook_variables(playbook.read_text()) if not is_set(name, text)]
        if missing:
            found[playbook.name] = missing
    return found


def untested(text: str) -> dict[str, list[str]]:
    """For each role the options that the text of all tests and scenarios sets nowhere."""
    found: dict[str, list[str]] = {}
    for role in sorted((REPO / "roles").iterdir()):
        specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
        names = dict.fromkeys(name for spec in specs.values() for name in options(spec.get("options", {})))
        missing = [name for name in names if not is_set(name, text)]
        if missing:
            found[role.name] = missing
    return found


def text_of(folders: tuple[str, ...]) -> str:
    """The files in these folders, without comments."""
    files = (file for folder in folders for file in sorted((REPO / folder).rglob("*")) if file.suffix in SUFFIXES)
    return "\n".join(re.sub(r"^\s*#.*$", "", file.read_text(), flags=re.MULTILINE) for file in files)


def main() -> int:
    """Print the list; return the exit status."""
    found = untested(text_of(FOLDERS)) | untested_variables(REPO, text_of(TESTS))
    for name, names in found.items():
        print(f"{name}: {', '.join(names)}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
