# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible's templates without a host."""

from __future__ import annotations

from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template


def trusted(value: Any) -> Any:
    """The value with its texts as ones that Ansible takes as templates, like those of a vars file."""
    if isinstance(value, dict):
        return {key: trusted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [trusted(item) for item in value]
    return trust_as_template(value) if isinstance(value, str) else value


def render(template: str, variables: dict[str, Any]) -> str:
    """What module template makes of this text."""
    templar = Templar(loader=DataLoader(), variables=trusted(variables))
    return str(templar.template(trust_as_template(template), escape_backslashes=False))
