# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the variables of a role."""

from __future__ import annotations

DOCUMENTATION = r"""
name: setting_problems
short_description: What is wrong with the variables of a role
version_added: 0.1.0
author: Alphacoder (@alphacoder)
description:
  - Says of each variable of the host that begins with the role's name what is wrong with it, and what would be right.
    It may be its name, its value, or what it is made of. No sentence has a secret.
  - All problems are named at once. One variable whose template fails does not hide what is wrong with another one.
options:
  _terms:
    description: The role.
    type: list
    elements: str
    required: true
    choices: [app, docker, haproxy, hits, postgresql, redis]
seealso:
  - plugin: alphacoder.scaleout.playbook_problems
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Check the settings
  ansible.builtin.assert:
    that: problems == []
    fail_msg: "{{ problems | join('\n') }}"
  vars:
    problems: "{{ query('alphacoder.scaleout.setting_problems', 'redis') }}"
"""

RETURN = r"""
_raw:
  description: A sentence for each problem; empty where there is none.
  type: list
  elements: str
"""

import difflib
import re
import typing as t
from collections.abc import Mapping
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_roles import problems_of_role

UNDEFINED = re.compile(r"'(\w+)' is undefined")


class LookupModule(LookupBase):  # type: ignore[misc]
    """What Ansible loads."""

    def run(self, terms: list[str], variables: t.Any = None, **kwargs: t.Any) -> list[str]:
        self.set_options(var_options=variables, direct=kwargs)
        return [problem for role in terms for problem in self._of_role(role, variables)]

    def _of_role(self, role: str, variables: t.Any) -> list[str]:
        settings: dict[str, t.Any] = {}
        failed: dict[str, str] = {}
        for name in sorted(name for name in variables if name.startswith(f"{role}_")):
            try:
                settings[name] = _whole(self._templar.template(variables[name]))
            except AnsibleError as error:
                failed[name] = _reason(error, variables)
        more = {"pages": self._pages(settings, variables, failed)} if role == "haproxy" else {}
        return problems_of_role(role, settings, failed, **more)

    def _pages(self, settings: dict[str, t.Any], variables: t.Any, failed: dict[str, str]) -> dict[str, str]:
        """The texts of role haproxy's pages, by file."""
        pages = {}
        error_pages = settings.get("haproxy_error_pages")
        names = {"haproxy_maintenance_page": [settings.get("haproxy_maintenance_page")]}
        names["haproxy_error_pages"] = list(error_pages.values()) if isinstance(error_pages, Mapping) else []
        for variable, files in names.items():
            for file in files:
                if not isinstance(file, str):
                    continue
                path = self.find_file_in_search_path(variables, "files", file, ignore_missing=True)
                if path:
                    pages[file] = Path(path).read_text(encoding="utf-8")
                else:
                    failed[variable] = f"there is no file {file} on this machine, nor beside the playbook in files/"
        return pages


def _whole(value: t.Any) -> t.Any:
    """The value with all that is in it, so that a template inside fails here."""
    if isinstance(value, Mapping):
        return {key: _whole(one) for key, one in value.items()}
    return [_whole(one) for one in value] if isinstance(value, list | tuple) else value


def _reason(error: AnsibleError, variables: t.Any) -> str:
    reason = str(error.message).strip().rstrip(".")
    if unknown := UNDEFINED.search(reason):
        near = difflib.get_close_matches(unknown[1], [name for name in variables if name != unknown[1]], 1, 0.8)
        reason = f"{unknown[0]}{f', did you mean {near[0]}?' if near else ''}"
    return reason
