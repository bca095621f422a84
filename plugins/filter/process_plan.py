# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be done with the containers of an app's processes."""

from __future__ import annotations

DOCUMENTATION = r"""
name: process_plan
short_description: What is to be done with the containers of an app's processes
version_added: 0.1.0
author: Alphacoder (@alphacoder)
description:
  - Compares the containers that a host has with those that it should have.
options:
  _input:
    description: A line for each container of a process of the app, with its name, its state and its settings.
    type: list
    elements: str
    required: true
  wanted:
    description: The containers that there should be, as P(alphacoder.scaleout.app_processes#filter) returns them.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
plan: "{{ lines | alphacoder.scaleout.process_plan(wanted) }}"
"""

RETURN = r"""
_value:
  description:
    - Names of containers. C(remove) - they don't belong here, or an interrupted run left them; C(replace) - they are to
      be set aside; C(start) - they are then to be made; C(formers) - those that are set aside then.
  type: dict
"""

import typing as t

from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_processes import plan


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"process_plan": plan}
