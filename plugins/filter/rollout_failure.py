# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The message of a roll-out that stopped."""

from __future__ import annotations

DOCUMENTATION = r"""
name: rollout_failure
short_description: The message of a roll-out that stopped
version_added: 0.1.0
author: Alphacoder (@alphacoder)
description:
  - Says where a roll-out stopped, why, and what serves now.
options:
  _input:
    description: The variables of the hosts that failed, each with C(rollout_failure).
    type: list
    elements: dict
    required: true
  balancers:
    description: The C(results) of M(alphacoder.scaleout.haproxy_info) in a loop over the load balancers.
    type: list
    elements: dict
    required: true
  containers:
    description: The C(results) of M(community.docker.docker_container_info) in a loop over the app servers.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
fail_msg: "{{ failed | alphacoder.scaleout.rollout_failure(asked.results, containers.results) }}"
"""

RETURN = r"""
_value:
  description: The message, several lines.
  type: str
"""

import typing as t
from collections.abc import Iterable, Mapping

from ansible_collections.alphacoder.scaleout.plugins.module_utils._image import release_of


def rollout_failure(
    failed: Iterable[Mapping[str, t.Any]],
    balancers: Iterable[Mapping[str, t.Any]],
    containers: Iterable[Mapping[str, t.Any]],
) -> str:
    """The message. See DOCUMENTATION."""
    failed = list(failed)
    statuses: dict[str, dict[str, None]] = {}
    for answer in balancers:
        for server in answer.get("servers") or []:
            statuses.setdefault(server["name"], {})[server["status"]] = None
    lines = [f"The roll-out stopped at {', '.join(host['inventory_hostname'] for host in failed)}."]
    lines += dict.fromkeys(host["rollout_failure"] for host in failed)
    lines.append("What serves now:")
    for answer in containers:
        name = answer["item"]
        release = release_of(answer.get("container") or {}) or "no container, or no answer"
        lines.append(f"{name}  {release}  {', '.join(statuses.get(name, ['not known to HAProxy']))}")
    return "\n".join(lines)


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"rollout_failure": rollout_failure}
