# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the variables of the playbooks."""

from __future__ import annotations

DOCUMENTATION = r"""
name: playbook_problems
short_description: What is wrong with the variables of the playbooks
version_added: 0.1.0
author: Alphacoder (@alphacoder)
description:
  - Says of each variable that cannot work, and of each name that the playbooks do not know, which one it is, and what
    would be right. No sentence has a secret.
positional: subject
options:
  _input:
    description: The variables of the subject, by name.
    type: dict
    required: true
  subject:
    description: V(deploy) for a roll-out, V(service) for the service of a run, V(apps) for C(scaleout_apps).
    type: str
    required: true
    choices: [apps, deploy, service]
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
seealso:
  - plugin: alphacoder.scaleout.setting_problems
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Check the roll-out
  ansible.builtin.assert:
    that: problems == []
    fail_msg: "{{ problems | join('\n') }}"
  vars:
    problems: "{{ {'deploy_batch': '25%'} | alphacoder.scaleout.playbook_problems('deploy') }}"
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
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_service import service_problems

PROBLEMS: dict[str, t.Callable[..., list[str]]] = {
    "apps": apps_problems,
    "deploy": deploy_problems,
    "service": service_problems,
}


def playbook_problems(settings: dict[str, t.Any], subject: str, **more: t.Any) -> list[str]:
    """A sentence for each problem. See DOCUMENTATION."""
    return PROBLEMS[subject](settings, **more)


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"playbook_problems": playbook_problems}
