# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a role's defaults, its argument specs and its README say of its variables is the same."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = Path(__file__).resolve().parents[3] / "roles"
ROW = re.compile(r"^\| `(?P<name>\w+)` \| (?P<type>[^|]+) \| (?:`(?P<default>[^`]*)`|required) \| .+ \|$", re.MULTILINE)

pytestmark = pytest.mark.parametrize("role", sorted(path.name for path in ROLES.iterdir()))


def specs(role: str) -> dict[str, Any]:
    return yaml.safe_load((ROLES / role / "meta" / "argument_specs.yml").read_text())["argument_specs"]


def test_defaults_are_those_of_the_argument_specs(role: str) -> None:
    defaults = yaml.safe_load((ROLES / role / "defaults" / "main.yml").read_text()) or {}
    options = specs(role)["main"]["options"]

    assert defaults == {name: option["default"] for name, option in options.items() if "default" in option}
    assert all(option.get("required") != ("default" in option) for option in options.values())


def test_variables_begin_with_the_role_and_say_their_type(role: str) -> None:
    options = specs(role)["main"]["options"]

    assert [name for name in options if not name.startswith(f"{role}_")] == []
    assert [name for name, option in options.items() if "type" not in option or not option["description"]] == []
    assert specs(role)["preflight"]["options"] == options


def test_readme_lists_every_variable_with_its_default(role: str) -> None:
    readme = (ROLES / role / "README.md").read_text()
    listed = {row["name"]: row["default"] for row in ROW.finditer(readme)}
    expected = {}
    for name, option in specs(role)["main"]["options"].items():
        default = option.get("default")
        is_plain = isinstance(default, str) and default != ""
        expected[name] = None if option.get("required") else default if is_plain else json.dumps(default)

    assert listed == expected


def test_secrets_are_marked(role: str) -> None:
    options = specs(role)["main"]["options"]
    secret = [name for name in options if re.search("password|_env$|(database|redis)_url$", name)]

    assert [name for name in secret if not options[name].get("no_log")] == []
