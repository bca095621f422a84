# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What HAProxy needs for several apps on the same hosts."""

from __future__ import annotations

DOCUMENTATION = r"""
name: app_backends
short_description: What HAProxy needs for several apps on the same hosts
version_added: 0.1.0
author: Alphacoder (@alphacoder)
description:
  - Makes of C(scaleout_apps) a backend for each app, and the lines that choose one by host name and path, as role
    P(alphacoder.scaleout.haproxy#role) takes them. The apps are taken as checked by C(preflight.yml).
  - Host names are compared without case and without a port. Path C(/blog) is C(/blog) and what is under C(/blog/).
  - The more specific one wins. A host name comes before one with C(*), which comes before none; then the longer path.
options:
  _input:
    description: The variables of the hosts, each with C(private_address).
    type: list
    elements: dict
    required: true
  apps:
    description:
      - The apps by name, each with its C(port), and C(hosts), C(paths), C(health) (as C(app_health) of role
        P(alphacoder.scaleout.app#role)) and C(backend) (more keys of its backend) where it has them.
    type: dict
    required: true
  maintenance:
    description: Whether clients of all apps get the maintenance page.
    type: bool
    default: false
seealso:
  - plugin: alphacoder.scaleout.app_servers
    plugin_type: filter
"""

EXAMPLES = r"""
haproxy_backends: "{{ (groups['app'] | map('extract', hostvars) | alphacoder.scaleout.app_backends(apps)).backends }}"
"""

RETURN = r"""
_value:
  description:
    - C(backends), C(use_backend) and C(default_backend), for the variables of role haproxy with these names.
    - The default backend is the app without hosts and paths, or one that answers with status 404. It is C(app) if there
      are no apps.
  type: dict
"""

import typing as t
from collections.abc import Iterable, Mapping

from ansible_collections.alphacoder.scaleout.plugins.filter.app_servers import app_servers
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_health import health_check
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._apps import NOT_FOUND, Apps, port_of, routes

Hosts = list[Mapping[str, t.Any]]


def _backend(name: str, app: Mapping[str, t.Any], hosts: Hosts, maintenance: bool) -> dict[str, t.Any]:
    health = health_check({"app_health": app.get("health") or {}})
    more = app.get("backend") or {}
    return {
        **more,
        "name": name,
        "servers": app_servers(hosts, port_of(app)),
        "httpchk": health["httpchk"],
        "http_check": health["http_check"],
        "timeout": {"check": f"{health['timeout']}s"} | (more.get("timeout") or {}),
        "maintenance": maintenance or more.get("maintenance", False),
    }


def app_backends(hosts: Iterable[Mapping[str, t.Any]], apps: Apps, maintenance: bool = False) -> dict[str, t.Any]:
    """A backend for each app, and who gets which request. See DOCUMENTATION."""
    hosts = list(hosts)
    backends = [_backend(name, app, hosts, maintenance) for name, app in apps.items()]
    found = [(route.app, route.conditions()) for route in routes(apps)]
    default = [app for app, conditions in found if not conditions] or [NOT_FOUND]
    if apps and default == [NOT_FOUND]:
        # Not 503: nothing is broken. The page is HAProxy's, or that of haproxy_error_pages
        backends.append({"name": NOT_FOUND, "http_request": "deny deny_status 404", "retry_on": "none"})
    return {
        "backends": backends,
        "use_backend": [f"{app} if {conditions}" for app, conditions in found if conditions],
        "default_backend": default[0] if apps else "app",
    }


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"app_backends": app_backends}
