# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who serves, whether a host may be taken out of rotation, and where it returns to."""

from __future__ import annotations

DOCUMENTATION = r"""
name: rotation
short_description: Who serves, and whether a host may be taken out of rotation
version_added: 0.1.0
author: Alphacoder (@alphacoder)
description:
  - Decides from the answers of all load balancers what a roll-out does with a host.
  - A load balancer whose HAProxy does not answer serves nobody and has no say; one that cannot be reached stops the
    roll-out, because its HAProxy may go on sending clients to the host.
options:
  _input:
    description:
      - The C(results) of M(alphacoder.scaleout.haproxy_info) in a loop over the load balancers, each with C(item), the
        load balancer's name.
    type: list
    elements: dict
    required: true
  host:
    description: Name of the host, which is also its server's name in HAProxy.
    type: str
    required: true
  batch:
    description: All hosts that are taken out at the same time, O(host) among them.
    type: list
    elements: str
    required: true
  interrupted:
    description: Whether an earlier roll-out was interrupted after it had taken O(host) out.
    type: bool
    default: false
seealso:
  - plugin: alphacoder.scaleout.rollout
    plugin_type: role
"""

EXAMPLES = r"""
- name: Ask each load balancer who serves
  alphacoder.scaleout.haproxy_info:
    backend: app
  register: asked
  delegate_to: "{{ item }}"
  loop: "{{ groups['lb'] }}"

- name: Stop where nobody else would serve
  ansible.builtin.assert:
    that: rotation.refusal == ''
    fail_msg: "{{ rotation.refusal }}"
  vars:
    rotation: "{{ asked.results | alphacoder.scaleout.rotation(inventory_hostname, ansible_play_batch) }}"
"""

RETURN = r"""
_value:
  description: What was decided.
  type: dict
  contains:
    refusal:
      description: Why the host must stay in rotation; empty if it may be taken out.
      type: str
    known_by:
      description: Load balancers that have a server of the host's name.
      type: list
      elements: str
    returns_to:
      description:
        - Load balancers that the host returns to. Not those where an operator had taken it out, unless it may have been
          the roll-out that was interrupted.
      type: list
      elements: str
    alone:
      description: Whether some load balancer would have no server left that gets clients.
      type: bool
"""

import typing as t
from collections.abc import Iterable

Server = dict[str, t.Any]


def serves(server: Server) -> bool:
    """Whether the server gets new clients: in rotation, and up as far as HAProxy knows."""
    return bool(server["state"] == "ready" and server["status"].startswith(("UP", "no check")))


def rotation(
    answers: Iterable[dict[str, t.Any]], host: str, batch: Iterable[str], interrupted: bool = False
) -> dict[str, t.Any]:
    """Decide what a roll-out may do with a host. See DOCUMENTATION."""
    answers, batch = list(answers), set(batch)
    unreachable = [answer["item"] for answer in answers if answer.get("unreachable")]
    servers_of = {answer["item"]: answer["servers"] for answer in answers if answer.get("servers")}
    serving = {
        balancer: {server["name"] for server in servers if serves(server)} for balancer, servers in servers_of.items()
    }
    states = {
        balancer: server["state"]
        for balancer, servers in servers_of.items()
        for server in servers
        if server["name"] == host
    }
    leaving = batch & set().union(*serving.values())
    left_empty = not all(names - batch for names in serving.values()) or not serving

    refusal = ""
    if unreachable:
        refusal = (
            f"{', '.join(unreachable)} cannot be reached, and its HAProxy may send clients to {host} at any time. "
            f"{host} was left as it is. Mend or remove the load balancer, then run this again."
        )
    elif left_empty and len(leaving) > 1:
        refusal = (
            f"This batch ({', '.join(sorted(batch))}) would take out every server that gets clients "
            f"({', '.join(sorted(leaving))}). Give deploy_batch a smaller number."
        )
    return {
        "refusal": refusal,
        "known_by": list(states),
        "returns_to": [balancer for balancer, state in states.items() if interrupted or state == "ready"],
        "alone": left_empty and host in leaving,
    }


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"rotation": rotation}
