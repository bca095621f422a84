# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the variables of the command line."""

from __future__ import annotations

DOCUMENTATION = r"""
name: command_line_problems
short_description: What is wrong with the variables of the command line
version_added: 0.1.0
author: Alphacoder (@alphacoder)
description:
  - Says of each variable after C(-e) that the playbook does not take, and that is one of another playbook of the
    collection or like one of its own, which it is. Variables in files (C(-e @file)) may have any name.
  - Nothing where the playbook of the command line is none of the collection.
options:
  _terms:
    description: None.
"""

EXAMPLES = r"""
- name: Check the command line
  ansible.builtin.assert:
    that: problems == []
    fail_msg: "{{ problems | join('\n') }}"
  vars:
    problems: "{{ query('alphacoder.scaleout.command_line_problems') }}"
"""

RETURN = r"""
_raw:
  description: A sentence for each problem; empty where there is none.
  type: list
  elements: str
"""

import typing as t
from pathlib import Path

from ansible import context
from ansible.parsing.splitter import parse_kv
from ansible.plugins.lookup import LookupBase
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_command_line import (
    COLLECTION,
    command_line_problems,
    playbook_of,
)


class LookupModule(LookupBase):  # type: ignore[misc]
    """What Ansible loads."""

    def run(self, terms: list[str], variables: t.Any = None, **kwargs: t.Any) -> list[str]:
        self.set_options(var_options=variables, direct=kwargs)
        given: dict[str, t.Any] = {}
        for text in context.CLIARGS.get("extra_vars") or ():
            if text.startswith(("{", "[")):
                given |= self._loader.load(text)
            elif not text.startswith("@"):
                given |= parse_kv(text)
        arguments = [str(argument) for argument in context.CLIARGS.get("args") or ()]
        names = [one if one.startswith(COLLECTION) else str(Path(one).resolve()) for one in arguments]
        return command_line_problems(given, [playbook_of(name) for name in names])
