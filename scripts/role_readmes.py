# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the tables of variables in the roles' READMEs anew, from the roles' argument specs.

usage: scripts/role_readmes.py [--check]     --check writes nothing, and exits with 1 where a table is stale
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).resolve().parent.parent / "roles"
HEADING = "## Variables\n"


def cell(text: str) -> str:
    """Ansible's markup as Markdown in a table."""
    text = re.sub(r"\b[CVO]\(((?:[^()]|\([^()]*\))*)\)", r"`\1`", text)
    return text.replace("|", "\\|")


def row(name: str, option: dict[str, Any]) -> str:
    """One option's line of a table."""
    kind = "str or list of str" if option["type"] == "raw" else option["type"]
    if "elements" in option:
        kind += f" of {option['elements']}"
    default = option.get("default")
    if option.get("required"):
        shown = "required"
    elif "default" not in option:
        shown = ""
    else:
        shown = f"`{default if isinstance(default, str) and default else json.dumps(default)}`".replace("|", "\\|")
    description = " ".join(cell(text) for text in option["description"])
    if "choices" in option:
        description += f" One of {', '.join(f'`{choice}`' for choice in option['choices'])}."
    return f"| `{name}` | {kind} | {shown} | {description} |"


def table(options: dict[str, Any]) -> str:
    """The table of some options."""
    rows = [row(name, option) for name, option in options.items()]
    return "\n".join(["| Variable | Type | Default | |", "|---|---|---|---|", *rows]) + "\n"


def variables(options: dict[str, Any]) -> str:
    """The tables of a role: its variables, and the keys of those that have some; those of the same keys share one."""
    parts = [table(options)]
    shared: dict[str, list[str]] = {}

    def collect(name: str, option: dict[str, Any]) -> None:
        if "options" in option:
            shared.setdefault(table(option["options"]).replace("| Variable |", "| Key |", 1), []).append(name)
            for key, suboption in option["options"].items():
                collect(f"{name}.{key}", suboption)

    for name, option in options.items():
        collect(name, option)
    parts += [f"Keys of {', '.join(f'`{name}`' for name in names)}:\n\n{text}" for text, names in shared.items()]
    return "\n".join(parts)


def readme(role: Path) -> str:
    """The role's README with the tables that its argument specs say."""
    text = (role / "README.md").read_text()
    options = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    before, _, after = text.partition(HEADING)
    lines = after.splitlines(keepends=True)
    kept = 0
    while kept < len(lines) and (not lines[kept].strip() or lines[kept].startswith(("|", "Keys of `"))):
        kept += 1
    return f"{before}{HEADING}\n{variables(options)}\n{''.join(lines[kept:])}"


def main() -> int:
    """Write, or check, every role's README."""
    stale = [role for role in sorted(ROLES.iterdir()) if readme(role) != (role / "README.md").read_text()]
    if sys.argv[1:] == ["--check"]:
        for role in stale:
            print(f"roles/{role.name}/README.md is stale: run scripts/role_readmes.py")
        return 1 if stale else 0
    for role in stale:
        (role / "README.md").write_text(readme(role))
    return 0


if __name__ == "__main__":
    sys.exit(main())
