# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers of a HAProxy backend, from the hosts of the inventory."""

from __future__ import annotations

DOCUMENTATION = r"""
name: app_servers
short_description: The servers of a HAProxy backend, from the hosts of the inventory
version_added: 0.1.0
author: Alphacoder (@alphacoder)
description:
  - Makes of each host a server as C(haproxy_servers) of role P(alphacoder.scaleout.haproxy#role) takes it.
  - C(scaleout_haproxy_server) of a host adds keys to its server, or replaces some.
options:
  _input:
    description: The variables of the hosts, each with C(private_address).
    type: list
    elements: dict
    required: true
  port:
    description: Where the hosts publish the app.
    type: int
    required: true
"""

EXAMPLES = r"""
haproxy_servers: "{{ groups['app'] | map('extract', hostvars) | alphacoder.scaleout.app_servers(8000) }}"
"""

RETURN = r"""
_value:
  description: A server for each host.
  type: list
  elements: dict
"""

import typing as t
from collections.abc import Iterable, Mapping


def app_servers(hosts: Iterable[Mapping[str, t.Any]], port: int) -> list[dict[str, t.Any]]:
    """A server for each host. See DOCUMENTATION."""
    return [
        {"name": host["inventory_hostname"], "address": host["private_address"], "port": port}
        | host.get("scaleout_haproxy_server", {})
        for host in hosts
    ]


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"app_servers": app_servers}
