#!/usr/bin/python
# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_info
short_description: Read the servers, states, sessions and checks of a running HAProxy
version_added: 0.1.0
author:
  - alphacoder (@alphacoder)
description:
  - Reads HAProxy's process, frontends, backends and servers over its runtime API. Numbers are returned as numbers, and
    values that do not apply as V(none).
  - Any level of the socket will do, but C(user) hides addresses and cookies.
extends_documentation_fragment:
  - alphacoder.scaleout.haproxy
  - alphacoder.scaleout.attributes
  - alphacoder.scaleout.attributes.changes_nothing
options:
  backend:
    description:
      - Return only this backend and its servers. All frontends are returned in any case.
      - If not set, return all backends.
    type: str
seealso:
  - module: alphacoder.scaleout.haproxy_server
"""

EXAMPLES = r"""
- name: Read everything
  alphacoder.scaleout.haproxy_info:
  register: lb
  become: true

- name: Show which servers are not up, and why
  ansible.builtin.debug:
    msg: "{{ item.backend }}/{{ item.name }}: {{ item.status }} {{ item.check.last if item.check else '' }}"
  loop: "{{ lb.servers | rejectattr('status', 'in', ['UP', 'no check']) }}"
  loop_control:
    label: "{{ item.name }}"

- name: Set the socket once for all tasks of a play
  hosts: lb
  become: true
  module_defaults:
    group/alphacoder.scaleout.haproxy:
      socket: /var/lib/haproxy/stats
  tasks:
    - name: Read one backend
      alphacoder.scaleout.haproxy_info:
        backend: app
      register: app
"""

RETURN = r"""
process:
  description: The process that answered. Empty if the task failed before it was read.
  returned: always
  type: dict
  contains:
    version:
      description: HAProxy's version.
      type: str
      sample: 3.0.11-1+deb13u5
    node:
      description: What HAProxy calls this host.
      type: str
      sample: lb-1
    pid:
      description: Its process id, which changes with each reload.
      type: int
      sample: 1204
    threads:
      description: How many threads it has.
      type: int
      sample: 2
    uptime:
      description: How many seconds ago it started or was reloaded.
      type: int
      sample: 86400
    stopping:
      description: Whether it takes no new connections and only finishes those that it has.
      type: bool
      sample: false
    connections:
      description: Current client connections.
      type: int
      sample: 40
    max_connections:
      description: The limit of client connections, its C(maxconn).
      type: int
      sample: 2000
    total_connections:
      description: Client connections since the start.
      type: int
      sample: 51230
    connection_rate:
      description: New connections in the last second.
      type: int
      sample: 31
    total_requests:
      description: Requests since the start.
      type: int
      sample: 90233
    idle:
      description: Its idle time in percent.
      type: int
      sample: 97
    info:
      description: Everything that C(show info) returns, under HAProxy's own names and with HAProxy's types.
      type: dict
      sample: {Maxsock: 4031, SslRate: 0}
frontends:
  description: The frontends, including C(listen) sections.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: web
    status:
      description: HAProxy's word for its status, such as V(OPEN).
      type: str
      sample: OPEN
    sessions:
      description: Its sessions, with the same keys as C(sessions) of a server. A frontend's C(queued) is V(none).
      type: dict
      sample: {current: 12, queued: null, highest: 60, limit: 2000, total: 51230, rate: 31}
    stats:
      description: Everything that C(show stat) returns of it, under HAProxy's own names and with HAProxy's types.
      type: dict
      sample: {hrsp_2xx: 51022, hrsp_5xx: 3, bin: 10223411, bout: 803341212}
backends:
  description: The backends, including C(listen) sections.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: app
    status:
      description: V(UP) if one of its servers is up, else V(DOWN).
      type: str
      sample: UP
    balance:
      description: Its balancing algorithm. V(none) if the socket's level is C(user).
      type: str
      sample: roundrobin
    weight:
      description: The sum of the weights in use.
      type: int
      sample: 200
    active_servers:
      description: How many servers are up and have a weight, not counting backup servers.
      type: int
      sample: 2
    backup_servers:
      description: How many backup servers are up and have a weight.
      type: int
      sample: 0
    last_change:
      description: How many seconds ago its status changed.
      type: int
      sample: 86400
    downtime:
      description: How many seconds it has been down altogether.
      type: int
      sample: 0
    sessions:
      description: Its sessions, with the same keys as C(sessions) of a server. A frontend's C(queued) is V(none).
      type: dict
      sample: {current: 12, queued: null, highest: 60, limit: 2000, total: 51230, rate: 31}
    stats:
      description: Everything that C(show stat) returns of it, under HAProxy's own names and with HAProxy's types.
      type: dict
      sample: {hrsp_2xx: 51022, hrsp_5xx: 3, bin: 10223411, bout: 803341212}
servers:
  description: The servers, in the order of the configuration.
  returned: always
  type: list
  elements: dict
  contains:
    backend:
      description: The backend that it belongs to.
      type: str
      sample: app
    name:
      description: Its name.
      type: str
      sample: app-1
    address:
      description: Address and port. V(none) if the socket's level is C(user), which hides them.
      type: str
      sample: 10.114.0.3:8000
    state:
      description: The state that was set for the server itself, V(ready), V(drain) or V(maint).
      type: str
      sample: ready
    status:
      description:
        - The resulting status in HAProxy's words, such as V(UP), V(DOWN), V(DRAIN), V(MAINT), V(NOLB), V(no check),
          V(DOWN 1/2) on its way up, or V(MAINT (via app/app-1)) if it tracks another server.
      type: str
      sample: UP
    weight:
      description: Its weight now.
      type: int
      sample: 100
    initial_weight:
      description: Its weight in the configuration, which percentages refer to.
      type: int
      sample: 100
    backup:
      description: Whether it is a backup server.
      type: bool
      sample: false
    cookie:
      description: Its value in the persistence cookie, or V(none).
      type: str
      sample: app-1
    track:
      description: The server whose check it follows, as backend/server, or V(none).
      type: str
      sample: null
    last_change:
      description: How many seconds ago it last changed between up and down.
      type: int
      sample: 3600
    downtime:
      description: How many seconds it has been down altogether. V(none) without checks.
      type: int
      sample: 0
    sessions:
      description: Its sessions in this HAProxy process.
      type: dict
      contains:
        current:
          description: Current sessions.
          type: int
          sample: 12
        queued:
          description: Requests that are waiting in its queue.
          type: int
          sample: 0
        highest:
          description: The highest number of sessions at once.
          type: int
          sample: 40
        limit:
          description: Its C(maxconn), or V(none).
          type: int
          sample: null
        total:
          description: Sessions since HAProxy started or was reloaded.
          type: int
          sample: 23411
        rate:
          description: New sessions in the last second.
          type: int
          sample: 30
    check:
      description: Its health check, or V(none).
      type: dict
      contains:
        status:
          description: Result of the last check in HAProxy's words, such as V(L7OK), V(L7STS) or V(L4CON).
          type: str
          sample: L7OK
        code:
          description:
            - The status code of the answer, or V(none) if the check did not get that far.
            - HAProxy 3.2 and later do not know it while the next check runs.
          type: int
          sample: 200
        duration:
          description: How long the last check took, in milliseconds.
          type: int
          sample: 3
        last:
          description: The answer, or the error.
          type: str
          sample: OK
        description:
          description: C(status) in plain words.
          type: str
          sample: Layer7 check passed
        rise:
          description: How many checks in a row must pass to bring it up.
          type: int
          sample: 2
        fall:
          description: How many checks in a row must fail to take it down.
          type: int
          sample: 3
        health:
          description: A score between V(0) and C(rise + fall - 1). The server is up from C(rise) on.
          type: int
          sample: 4
    agent:
      description: Its agent check, with the same keys as C(check), or V(none).
      type: dict
      sample: null
    stats:
      description: Everything that C(show stat) returns of it, under HAProxy's own names and with HAProxy's types.
      type: dict
      sample: {hrsp_2xx: 51022, hrsp_5xx: 3, bin: 10223411, bout: 803341212}
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alphacoder.scaleout.plugins.module_utils._haproxy import (
    BACKEND,
    DEFAULT_SOCKET,
    FRONTEND,
    Client,
    HaproxyError,
    sessions_of,
)

Item = dict[str, t.Any]


def process_facts(info: Item) -> Item:
    get = info.get
    return {
        "version": get("Version"),
        "node": get("node"),
        "pid": get("Pid"),
        "threads": get("Nbthread"),
        "uptime": get("Uptime_sec"),
        "stopping": bool(get("Stopping")),
        "connections": get("CurrConns"),
        "max_connections": get("Maxconn"),
        "total_connections": get("CumConns"),
        "connection_rate": get("ConnRate"),
        "total_requests": get("CumReq"),
        "idle": get("Idle_pct"),
        "info": info,
    }


def frontend_facts(stats: Item) -> Item:
    return {
        "name": stats["pxname"],
        "status": stats.get("status"),
        "sessions": sessions_of(stats),
        "stats": stats,
    }


def backend_facts(stats: Item) -> Item:
    return {
        "name": stats["pxname"],
        "status": stats.get("status"),
        "balance": stats.get("algo"),
        "weight": stats.get("weight"),
        "active_servers": stats.get("act"),
        "backup_servers": stats.get("bck"),
        "last_change": stats.get("lastchg"),
        "downtime": stats.get("downtime"),
        "sessions": sessions_of(stats),
        "stats": stats,
    }


def run(module: AnsibleModule, result: Item) -> None:
    backend = module.params["backend"]
    client = Client(module.params["socket"])
    info = client.info()
    rows = client.rows(FRONTEND | BACKEND)
    backends = [row for row in rows if row["svname"] == "BACKEND"]
    names = sorted(row["pxname"] for row in backends)
    if backend is not None and backend not in names:
        raise HaproxyError(f"HAProxy has no backend {backend}. It has: {', '.join(names) or 'none'}.")
    result.update(
        process=process_facts(info),
        frontends=[frontend_facts(row) for row in rows if row["svname"] == "FRONTEND"],
        backends=[backend_facts(row) for row in backends if backend in (None, row["pxname"])],
        servers=[{**server.facts(), "stats": server.stats} for server in client.servers(backend)],
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "backend": {"type": "str"},
            "socket": {"type": "str", "default": DEFAULT_SOCKET},
        },
        supports_check_mode=True,
    )
    result: Item = {"changed": False, "process": {}, "frontends": [], "backends": [], "servers": []}
    try:
        run(module, result)
    except HaproxyError as error:
        module.fail_json(msg=str(error), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
