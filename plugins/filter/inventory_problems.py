# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with an inventory, as far as the playbooks need it."""

from __future__ import annotations

DOCUMENTATION = r"""
name: inventory_problems
short_description: What is wrong with an inventory
version_added: 0.1.0
author: Alphacoder (@alphacoder)
description:
  - Says which groups are empty, which hosts lack their address, what is wrong with the variables of the playbooks, and
    which variables are set where nothing reads them, such as one of role haproxy for the app servers, and which
    collections are missing. No sentence has a secret.
positional: groups
options:
  _input:
    description: The hosts and their variables, C(hostvars).
    type: dict
    required: true
  groups:
    description: The groups and their hosts, C(groups).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Check the inventory
  ansible.builtin.assert:
    that: problems == []
    fail_msg: "{{ problems | join('\n') }}"
  vars:
    problems: "{{ hostvars | alphacoder.scaleout.inventory_problems(groups) }}"
"""

RETURN = r"""
_value:
  description: A sentence for each problem; empty where there is none.
  type: list
  elements: str
"""

import typing as t
from collections.abc import Iterator, Mapping, Sequence

from ansible.errors import AnsibleError
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_inventory import (
    inventory_problems,
    missing_collections,
)
from jinja2 import Undefined


class Values(Mapping[str, t.Any]):
    """What a host's variables mean, without those whose template fails."""

    def __init__(self, variables: Mapping[str, t.Any]) -> None:
        self._variables = variables

    def __getitem__(self, name: str) -> t.Any:
        try:
            value = self._variables[name]
        except AnsibleError:
            raise KeyError(name) from None
        # What Ansible makes of a template that fails, instead of an error
        if isinstance(value, Undefined):
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


def problems_of_inventory(hostvars: t.Any, groups: Mapping[str, Sequence[str]]) -> list[str]:
    """A sentence for each problem. See DOCUMENTATION."""
    hosts = [*groups["all"], "localhost"]
    raw = {host: hostvars.raw_get(host) for host in hosts}
    problems = inventory_problems(raw, {host: Values(hostvars[host]) for host in hosts}, groups)
    return missing_collections(groups) + problems


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"inventory_problems": problems_of_inventory}
