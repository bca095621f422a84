# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs where, and where that differs from the inventory."""

from __future__ import annotations

DOCUMENTATION = r"""
name: service_status
short_description: What runs where, and where that differs from the inventory
version_added: 0.1.0
author: Alphacoder (@alphacoder)
description:
  - Joins what load balancers and app servers answered into one value, and compares it with the inventory.
options:
  _input:
    description:
      - The variables of all hosts by name. Load balancers have C(__scaleout_haproxy)
        (M(alphacoder.scaleout.haproxy_info)) and C(__scaleout_marks) (lines that begin with C(maintenance) or end with
        the lock's text), app servers have C(__scaleout_running) (M(community.docker.docker_container_info) in a loop, a
        container for each of O(ports)).
    type: dict
    required: true
  balancers:
    description: Names of the load balancers.
    type: list
    elements: str
    required: true
  apps:
    description: Names of the app servers.
    type: list
    elements: str
    required: true
  ports:
    description:
      - The backends of HAProxy whose servers the app servers are, one for each app, and where app servers publish it.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Put it together
  ansible.builtin.set_fact:
    status: "{{ hostvars | alphacoder.scaleout.service_status(groups['lb'], groups['app'], {'app': 8000}) }}"
"""

RETURN = r"""
_value:
  description:
    - C(backends), and C(backend), the first of them, C(load_balancers), C(app_servers), once for each backend, each
      with its C(servers), C(servers) of all load balancers, C(drift) (sentences), C(lock) (its holder, or empty) and
      C(maintenance).
  type: dict
"""

import datetime
import json
import re
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.alphacoder.scaleout.plugins.module_utils._image import release_of

Host = Mapping[str, t.Any]


def _problem(result: Mapping[str, t.Any], otherwise: str = "") -> str:
    return "unreachable" if result.get("unreachable") else result.get("msg") or otherwise


def _address(host: Host, port: int) -> str:
    return f"{host.get('private_address') or 'no address'}:{port}"


def _balancer(host: Host) -> dict[str, t.Any]:
    info = host.get("__scaleout_haproxy", {})
    process = info.get("process") or {}
    return {
        "name": host["inventory_hostname"],
        "address": host.get("private_address", ""),
        "problem": _problem(info),
        **{key: process.get(key) for key in ("version", "uptime", "connections")},
    }


def _app(host: Host, number: int, backend: str, now: datetime.datetime) -> dict[str, t.Any]:
    running = host.get("__scaleout_running", {})
    # None where the host was not reached at all
    running = running["results"][number] if running.get("results") else running
    container = running.get("container") or {}
    state = container.get("State", {})
    uptime = None
    if state.get("Running"):
        # Nanoseconds, which Python does not read
        started = datetime.datetime.strptime(state["StartedAt"][:19] + "Z", "%Y-%m-%dT%H:%M:%S%z")
        uptime = int((now - started).total_seconds())
    return {
        "name": host["inventory_hostname"],
        "backend": backend,
        "address": host.get("private_address", ""),
        "problem": _problem(running, "" if container else "no container"),
        "release": release_of(container),
        "container": state.get("Status"),
        "restarts": container.get("RestartCount"),
        "uptime": uptime,
    }


def _drift(
    balancer: dict[str, t.Any],
    servers: list[dict[str, t.Any]],
    hosts: Mapping[str, Host],
    apps: Sequence[str],
    port: int,
) -> list[str]:
    """Where the servers of a load balancer that answers differ from the inventory."""
    name = balancer["name"]
    found = []
    for server in servers:
        if server["name"] not in apps:
            found.append(f"{server['name']}: it is a server of {name}, but not in the inventory")
        elif server["address"] and server["address"] != (wanted := _address(hosts[server["name"]], port)):
            found.append(
                f"{server['name']}: {name} sends its clients to {server['address']}, "
                f"but the inventory has it at {wanted}"
            )
    known = {server["name"] for server in servers}
    return found + [f"{app}: it is in the inventory, but not a server of {name}" for app in apps if app not in known]


def service_status(
    hosts: Mapping[str, Host], balancers: Sequence[str], apps: Sequence[str], ports: Mapping[str, int]
) -> dict[str, t.Any]:
    """What runs where. See DOCUMENTATION."""
    now = datetime.datetime.now(datetime.UTC)
    load_balancers = [_balancer(hosts[name]) for name in balancers]
    drift = [f"{balancer['name']}: {balancer['problem']}" for balancer in load_balancers if balancer["problem"]]
    servers, app_servers = [], []
    for number, (backend, port) in enumerate(ports.items()):
        servers_of = {
            name: [
                {**server, "balancer": name}
                for server in hosts[name].get("__scaleout_haproxy", {}).get("servers") or []
                if server["backend"] == backend
            ]
            for name in balancers
        }
        of_backend = [server for name in balancers for server in servers_of[name]]
        of_hosts = [
            {
                **_app(hosts[name], number, backend, now),
                "servers": [server for server in of_backend if server["name"] == name],
            }
            for name in apps
        ]
        lines = []
        for balancer in load_balancers:
            if not balancer["problem"]:
                lines += _drift(balancer, servers_of[balancer["name"]], hosts, apps, int(port))
        lines += [f"{app['name']}: {app['problem']}" for app in of_hosts if app["problem"]]
        releases = list(dict.fromkeys(app["release"] for app in of_hosts if app["release"]))
        if len(releases) > 1:
            lines.append(f"releases differ: {', '.join(releases)}")
        drift += [f"{backend}: {line}" for line in lines] if len(ports) > 1 else lines
        servers += of_backend
        app_servers += of_hosts

    marks = [mark for name in balancers for mark in hosts[name].get("__scaleout_marks", {}).get("stdout_lines", [])]
    holders = [found[0] for mark in marks if (found := re.search(r"[{].*[}]", mark))]
    return {
        "backend": next(iter(ports)),
        "backends": list(ports),
        "load_balancers": load_balancers,
        "app_servers": app_servers,
        "servers": servers,
        "drift": drift,
        "lock": json.loads(holders[0]) if holders else {},
        "maintenance": any(mark.startswith("maintenance") for mark in marks),
    }


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"service_status": service_status}
