# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: which app of scaleout_apps gets a request.

from __future__ import annotations

import typing as t
from collections.abc import Mapping

# HAProxy's backend for requests that no app takes
NOT_FOUND = "not-found"
# Sections of role haproxy's own: HAProxy refuses a frontend and a backend of one name
TAKEN = (NOT_FOUND, "public", "stats")

Apps = Mapping[str, Mapping[str, t.Any]]


class Route(t.NamedTuple):
    """What an app takes; empty texts: any host, any path."""

    host: str
    path: str
    app: str

    def rank(self) -> tuple[int, int, int]:
        """The more specific ones come first: a host before a wildcard, and a longer path before a shorter one."""
        kind = 2 if not self.host else 1 if self.host.startswith("*") else 0
        return kind, -len(self.host) if kind == 1 else 0, -len(self.path)

    def conditions(self) -> str:
        """HAProxy's, empty for all requests."""
        # Without the port
        host = "req.hdr(host),field(1,:)"
        found = []
        if self.host.startswith("*"):
            found.append(f"{{ {host} -m end -i {self.host[1:]} }}")
        elif self.host:
            found.append(f"{{ {host} -m str -i {self.host} }}")
        if self.path:
            # With a / at both ends: /blog and /blog/x, but not /blogger
            found.append(f"{{ path,concat(/) -m beg {self.path}/ }}")
        return " ".join(found)


def routes(apps: Apps) -> list[Route]:
    """What each app takes, in the order in which HAProxy must ask."""
    found = [
        Route(str(host).lower(), str(path).rstrip("/"), name)
        for name, app in apps.items()
        for host in app.get("hosts") or [""]
        for path in app.get("paths") or [""]
    ]
    return sorted(found, key=Route.rank)


def port_of(app: Mapping[str, t.Any]) -> int:
    """Where app servers publish it; 0 if that is no port."""
    port = app.get("port", "")
    return int(port) if str(port).isdecimal() and int(port) <= 65535 else 0
