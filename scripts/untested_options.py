# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List the options of roles, and the keys of those that have some, that no test and no scenario sets.

An option counts as set where its name stands as a key or an argument: `name: value`, `"name": value`, `name=value`; or
among a test's parameters, before its value: `("name", value`. Exits with 1 where the list is not empty.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

REPO = Path(__file__).resolve().parent.parent
# Where tests and scenarios set options: their own files, and those of users that they run
FOLDERS = ("molecule", "tests", "inventory/group_vars", "playbooks", "docs/examples")
SUFFIXES = {".py", ".yml", ".j2"}
SET = r"""(?<![\w-]){name}["']?\s*(:|=(?!=))|[(]\s*("\w+", )?"{name}","""


def options(spec: dict[str, Any]) -> Iterator[str]:
    """The names of options, and of their keys."""
    for name, option in spec.items():
        yield name
        yield from options(option.get("options", {}))


def untested(text: str) -> dict[str, list[str]]:
    """For each role the options that the text of all tests and scenarios sets nowhere."""
    found: dict[str, list[str]] = {}
    for role in sorted((REPO / "roles").iterdir()):
        specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
        names = dict.fromkeys(name for spec in specs.values() for name in options(spec.get("options", {})))
        missing = [name for name in names if not re.search(SET.format(name=name), text)]
        if missing:
            found[role.name] = missing
    return found


def main() -> int:
    """Print the list; return the exit status."""
    files = (file for folder in FOLDERS for file in sorted((REPO / folder).rglob("*")) if file.suffix in SUFFIXES)
    found = untested("\n".join(re.sub(r"^\s*#.*$", "", file.read_text(), flags=re.MULTILINE) for file in files))
    for role, names in found.items():
        print(f"{role}: {', '.join(names)}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
