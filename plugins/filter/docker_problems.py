# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the settings of role docker."""

from __future__ import annotations

DOCUMENTATION = r"""
name: docker_problems
short_description: What is wrong with the settings of role docker
version_added: 0.1.0
author: Alphacoder (@alphacoder)
description:
  - Names each setting that the role or Docker could not use, and says what would be right.
  - The role's argument specs check types and required variables before.
options:
  _input:
    description: The variables that begin with C(docker_), by name.
    type: dict
    required: true
seealso:
  - plugin: alphacoder.scaleout.docker
    plugin_type: role
"""

EXAMPLES = r"""
- name: Check the settings
  ansible.builtin.assert:
    that: problems == []
    fail_msg: "{{ problems | join('\n') }}"
  vars:
    problems: "{{ {'docker_daemon_options': {'hosts': []}} | alphacoder.scaleout.docker_problems }}"
"""

RETURN = r"""
_value:
  description: A sentence for each problem; empty if there is none.
  type: list
  elements: str
"""

import typing as t

from ansible_collections.alphacoder.scaleout.plugins.module_utils._settings import Settings, unknown_names

OPTIONS = ("docker_daemon_options",)


def docker_problems(settings: Settings) -> list[str]:
    """A sentence for each problem."""
    problems = unknown_names(settings, "docker", OPTIONS)
    options = settings.get("docker_daemon_options", {})
    if not isinstance(options, dict):
        problems.append("docker_daemon_options must be a dictionary, such as {live-restore: true}.")
    elif "hosts" in options:
        problems.append(
            "docker_daemon_options must not set 'hosts': the distribution's systemd unit already passes -H, and the "
            "daemon refuses to start when both do. Override the unit instead."
        )
    return problems


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"docker_problems": docker_problems}
