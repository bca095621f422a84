# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the settings of a role."""

from __future__ import annotations

DOCUMENTATION = r"""
name: setting_problems
short_description: What is wrong with the settings of a role
version_added: 0.1.0
author: Alphacoder (@alphacoder)
description:
  - Says of each setting that cannot work, and of each name that the role does not know, which one it is, and what would
    be right. No sentence has a secret.
positional: role
options:
  _input:
    description: The variables that begin with the role's name, by name.
    type: dict
    required: true
  role:
    description:
      - The role, or V(deploy) for the variables of a roll-out, V(service) for the service of a run, V(apps) for
        C(scaleout_apps).
    type: str
    required: true
    choices: [app, apps, deploy, docker, haproxy, hits, postgresql, redis, service]
  pages:
    description: For V(haproxy), the HTML pages of the controller that it sends, by file.
    type: dict
  hosts:
    description: For V(service), the tags of the droplets that the run would work on, by host.
    type: dict
  secrets:
    description:
      - For V(service), the folder of the controller with the service's secrets. Empty if it needs the service's name,
        and there is none.
    type: str
  app:
    description: For V(apps), the app that the run is for.
    type: str
  tier:
    description: For V(apps), whose settings they are, C(app) or C(lb). Empty - C(scaleout_apps) itself is checked.
    type: str
"""

EXAMPLES = r"""
- name: Check the settings
  ansible.builtin.assert:
    that: problems == []
    fail_msg: "{{ problems | join('\n') }}"
  vars:
    settings: {redis_port: 70000}
    problems: "{{ settings | alphacoder.scaleout.setting_problems('redis') }}"
"""

RETURN = r"""
_value:
  description: A sentence for each problem; empty where there is none.
  type: list
  elements: str
"""

import typing as t

from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_apps import apps_problems
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_deploy import deploy_problems
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_roles import problems_of_role
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_service import service_problems

OF_PLAYBOOKS: dict[str, t.Callable[..., list[str]]] = {
    "apps": apps_problems,
    "deploy": deploy_problems,
    "service": service_problems,
}


def setting_problems(settings: dict[str, t.Any], role: str, **more: t.Any) -> list[str]:
    """A sentence for each problem. See DOCUMENTATION."""
    if role in OF_PLAYBOOKS:
        return OF_PLAYBOOKS[role](settings, **more)
    return problems_of_role(role, settings, {}, **more)


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"setting_problems": setting_problems}
