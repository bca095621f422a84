# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a role's defaults, its argument specs and its README say of its variables is the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts import role_readmes

ROLES = Path(__file__).resolve().parents[3] / "roles"

pytestmark = pytest.mark.parametrize("role", sorted(path.name for path in ROLES.iterdir()))


def specs(role: str) -> dict[str, Any]:
    return yaml.safe_load((ROLES / role / "meta" / "argument_specs.yml").read_text())["argument_specs"]


def test_defaults_are_those_of_the_argument_specs(role: str) -> None:
    defaults = yaml.safe_load((ROLES / role / "defaults" / "main.yml").read_text()) or {}
    options = {name: option for spec in specs(role).values() for name, option in spec["options"].items()}

    assert defaults == {name: option["default"] for name, option in options.items() if "default" in option}
    assert all(option.get("required") != ("default" in option) for option in options.values())


def test_variables_begin_with_the_role_and_say_their_type(role: str) -> None:
    options = specs(role)["main"]["options"]

    assert [name for name in options if not name.startswith(f"{role}_")] == []
    assert [name for name, option in options.items() if "type" not in option or not option["description"]] == []
    if "preflight" in specs(role):
        assert specs(role)["preflight"]["options"] == options


def test_readme_has_the_tables_of_the_argument_specs(role: str) -> None:
    assert (ROLES / role / "README.md").read_text() == role_readmes.readme(ROLES / role), "run scripts/role_readmes.py"


def test_secrets_are_marked(role: str) -> None:
    options = specs(role)["main"]["options"]
    secret = [name for name in options if re.search("password|_env$|(database|redis)_url$", name)]

    assert [name for name in secret if not options[name].get("no_log")] == []
