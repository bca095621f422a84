#!/usr/bin/python
# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_server
short_description: Drain HAProxy's servers, take them out, bring them back, set their weight or port
version_added: 0.1.0
author:
  - alphacoder (@alphacoder)
description:
  - Sets the admin state, the weight and the port of servers over HAProxy's runtime API, without a reload.
  - With O(wait), which is the default, the task ends when the servers are up (O(state=ready)), or have no sessions
    left (O(state=drain) and O(state=maint)).
  - All or nothing. If a server is unknown, none is changed. If HAProxy refuses a change halfway, the changes before it
    are undone.
  - C(changed) depends only on admin state, weight and port, never on sessions or checks.
notes:
  - These settings last until HAProxy is reloaded. They survive a reload only if the configuration loads a server state
    file that was written just before (C(load-server-state-from-file)).
  - HAProxy knows only the sessions of its own process. After a reload, sessions of the former process are not seen, not
    waited for and not shut down.
  - The socket needs C(level admin).
extends_documentation_fragment:
  - alphacoder.scaleout.haproxy
  - alphacoder.scaleout.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  backend:
    description:
      - The backend (or C(listen) section) of the servers.
    type: str
    required: true
  servers:
    description:
      - Names of the servers in HAProxy's configuration.
    type: list
    elements: str
    required: true
  state:
    description:
      - V(ready) lets the server serve as soon as its checks pass.
      - V(drain) sends it no new clients, but clients with its persistence cookie or an entry in a stick table still
        come. Its checks continue.
      - V(maint) sends it no clients at all and stops its checks. Existing sessions continue until they end.
      - If not set, the state stays as it is.
    type: str
    choices: [ready, drain, maint]
  weight:
    description:
      - V(0) to V(256), or a percentage of the weight in the configuration, such as V(50%).
      - A weight of V(0) has the same effect as V(drain).
      - A backend with a static algorithm, such as C(static-rr), or C(source) without C(hash-type consistent), accepts
        only V(0%) and V(100%).
      - If not set, the weight stays as it is.
    type: str
  port:
    description:
      - The port that new clients are sent to, on the server's present address. Its checks go there, too, unless the
        configuration gives them a separate port. Existing sessions continue on the old port.
      - HAProxy does not check the new port first. Make sure that the app answers there.
      - If not set, the port stays as it is.
    type: int
  wait:
    description:
      - Whether to wait until the servers are up (O(state=ready)), or have no sessions left (O(state=drain) and
        O(state=maint)).
      - A server is up when its last check has passed. HAProxy sends clients to a server that leaves V(maint) even
        before its first check; the task waits for that check. A server without checks is up at once.
      - Without O(state) there is nothing to wait for.
    type: bool
    default: true
  wait_timeout:
    description:
      - How many seconds O(wait) may take altogether. When the time is over, the task fails, but the state stays set.
    type: int
    default: 120
  shutdown_sessions:
    description:
      - Whether to end the sessions that are left after O(wait_timeout), instead of failing. Their clients see a broken
        connection.
      - Needs O(wait), and O(state=drain) or O(state=maint). With O(wait_timeout=0), sessions are ended at once.
    type: bool
    default: false
seealso:
  - module: alphacoder.scaleout.haproxy_info
  - module: community.general.haproxy
"""

EXAMPLES = r"""
- name: Drain app-1, and wait until its sessions have ended
  alphacoder.scaleout.haproxy_server:
    backend: app
    servers: [app-1]
    state: drain

- name: Bring it back, and wait until its check passes
  alphacoder.scaleout.haproxy_server:
    backend: app
    servers: [app-1]
    state: ready

- name: Give the sessions of two servers a minute, then end those that are left
  alphacoder.scaleout.haproxy_server:
    backend: app
    servers: [app-1, app-2]
    state: maint
    wait_timeout: 60
    shutdown_sessions: true

- name: Give a server with a new release a tenth of its share
  alphacoder.scaleout.haproxy_server:
    backend: app
    servers: [app-3]
    weight: 10%

- name: Send new clients to a release that was started beside the former one
  alphacoder.scaleout.haproxy_server:
    backend: app
    servers: [app-1]
    port: 8001

- name: Drain from a play over the app servers, one at a time
  hosts: app
  serial: 1
  tasks:
    - name: Drain this server on each load balancer
      alphacoder.scaleout.haproxy_server:
        backend: app
        servers: ["{{ inventory_hostname }}"]
        state: drain
      delegate_to: "{{ item }}"
      loop: "{{ groups['lb'] }}"
      become: true
"""

RETURN = r"""
backend:
  description: The backend.
  returned: always
  type: str
  sample: app
servers:
  description:
    - The servers after the run, in the order of O(servers). Each has the keys of
      RV(alphacoder.scaleout.haproxy_info#module:servers), except C(stats).
    - In check mode they have the C(state), C(weight) and port that they would get. If the task fails, they are as last
      seen, or empty if they were not read.
  returned: always
  type: list
  elements: dict
sessions_shut_down:
  description: Names of the servers whose sessions O(shutdown_sessions) ended.
  returned: always
  type: list
  elements: str
  sample: []
"""

import re
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alphacoder.scaleout.plugins.module_utils._haproxy import (
    DEFAULT_SOCKET,
    RESOLUTION_MAINT,
    Client,
    HaproxyError,
    Server,
)

# Pauses between two looks: short at first, because most drains end at once
POLL_SECONDS = (0.1, 0.2, 0.5, 1.0)
# How long sessions may take to end after they were shut down
SHUTDOWN_SECONDS = 5.0

MAX_WEIGHT = 256
_WEIGHT = re.compile(r"(\d{1,6})(%?)")

Params = dict[str, t.Any]
Result = dict[str, t.Any]


class Setting(t.NamedTuple):
    """The values that this module sets."""

    state: str
    weight: int
    port: int


def check_params(params: Params) -> None:
    if not params["servers"]:
        raise HaproxyError("servers is empty: name at least one server.")
    weight = params["weight"]
    if weight is not None:
        found = _WEIGHT.fullmatch(weight)
        if not found or (not found[2] and int(found[1]) > MAX_WEIGHT):
            raise HaproxyError(f"weight is {weight!r}, but it must be 0 to {MAX_WEIGHT}, or a percentage such as 50%.")
    if params["port"] is not None and not 0 < params["port"] < 65536:
        raise HaproxyError(f"port is {params['port']}, but it must be 1 to 65535.")
    if params["wait_timeout"] < 0:
        raise HaproxyError(f"wait_timeout is {params['wait_timeout']}, but it must be 0 or more.")
    if params["shutdown_sessions"] and not (params["wait"] and params["state"] in ("drain", "maint")):
        raise HaproxyError(
            "shutdown_sessions needs wait, and state drain or maint. To end the sessions at once, set wait_timeout "
            "to 0."
        )


def read(client: Client, backend: str, names: list[str]) -> list[Server]:
    """The servers in the order of the names, without duplicates."""
    backends = client.backends()
    if backend not in backends:
        raise HaproxyError(f"HAProxy has no backend {backend}. It has: {', '.join(sorted(backends)) or 'none'}.")
    return choose(client.servers(backend), backend, names)


def choose(servers: list[Server], backend: str, names: list[str]) -> list[Server]:
    there = {server.name: server for server in servers}
    unknown = [name for name in dict.fromkeys(names) if name not in there]
    if unknown:
        raise HaproxyError(
            f"Backend {backend} has no server {', '.join(unknown)}. It has: {', '.join(sorted(there)) or 'none'}."
        )
    return [there[name] for name in dict.fromkeys(names)]


def setting_of(server: Server) -> Setting:
    return Setting(server.state, server.weight, server.port)


def desired(server: Server, params: Params) -> Setting:
    return Setting(params["state"] or server.state, weight_of(params["weight"], server), params["port"] or server.port)


def weight_of(weight: str | None, server: Server) -> int:
    """The absolute weight, by HAProxy's own arithmetic (management guide, set weight)."""
    if weight is None:
        return server.weight
    if weight.endswith("%"):
        return min(server.initial_weight * int(weight[:-1]) // 100, MAX_WEIGHT)
    return int(weight)


def put(client: Client, server: Server, now: Setting, then: Setting, weight: str | None = None) -> None:
    name = f"{server.backend}/{server.name}"
    # State last: a server that becomes ready must not serve with the old weight or on the old port for a moment
    if now.port != then.port:
        client.set_port(server, then.port)
    if now.weight != then.weight:
        client.set_weight(name, weight or str(then.weight))
    if now.state != then.state:
        client.set_state(name, then.state)


def apply(client: Client, servers: list[Server], params: Params, result: Result) -> None:
    """Change all servers, or none if HAProxy refuses one change."""
    tried: list[Server] = []
    for server in servers:
        now, then = setting_of(server), desired(server, params)
        if now == then:
            continue
        tried.append(server)
        result["changed"] = True
        try:
            put(client, server, now, then, params["weight"])
        except HaproxyError as error:
            names = ", ".join(one.name for one in tried)
            try:
                take_back(client, tried)
            except HaproxyError as another:
                raise HaproxyError(f"{error} These servers may have kept a change: {names}. {another}") from None
            result["changed"] = False
            raise HaproxyError(f"{error} No change was kept.") from None


def take_back(client: Client, servers: list[Server]) -> None:
    current = {server.name: server for server in client.servers(servers[0].backend)}
    for server in servers:
        # A reload may have removed the server
        if server.name in current:
            put(client, server, setting_of(current[server.name]), setting_of(server))


def lack(server: Server, state: str) -> str | None:
    """What a server still lacks before the wait is over, or None."""
    seen = f"{server.name} is {server.stats.get('status')}"
    if state != "ready":
        left = server.sessions
        return f"{seen} with {left} session{'' if left == 1 else 's'} left" if left else None
    if server.up:
        return None
    if server.inherits:
        return f"{seen}: it tracks {server.stats.get('tracked')}, which must be ready first"
    if server.admin & RESOLUTION_MAINT:
        return f"{seen}: HAProxy can't resolve its name"
    facts = server.facts()
    reasons = []
    for kind in ("check", "agent"):
        check = facts[kind]
        if check:
            parts = (check["status"], check["code"], check["last"] or check["description"])
            reasons.append(f"{kind} says {' '.join(str(part) for part in parts if part not in (None, ''))}")
    if facts["track"]:
        reasons.append(f"it tracks {facts['track']}")
    return f"{seen}{': ' if reasons else ''}{', '.join(reasons)}"


def wait(client: Client, params: Params, result: Result, pid: int, warn: t.Callable[[str], None]) -> None:
    """Fills result as it looks, so that a wait that times out returns what was last seen."""
    backend, state = params["backend"], params["state"]
    deadline = time.monotonic() + params["wait_timeout"]
    cut = False
    reloaded = False
    looks = 0
    while True:
        try:
            now, servers = client.look(backend)
            servers = choose(servers, backend, params["servers"])
        except HaproxyError as error:
            if not error.gone or time.monotonic() >= deadline:
                raise
            # In the middle of a restart: the next look decides
        else:
            if now != pid:
                reloaded, pid = True, now
                if state != "ready":
                    warn(
                        f"HAProxy was reloaded while this task waited for sessions of backend {backend} to end. "
                        f"Sessions that its former process still has are not seen."
                    )
            result["servers"] = [server.facts() for server in servers]
            check_kept(servers, state, reloaded)
            lacks = [what for what in (lack(server, state) for server in servers) if what]
            if not lacks:
                return
            if state == "ready" and any(server.inherits for server in servers):
                raise HaproxyError(f"Set to ready, but waiting would not help: {'; '.join(lacks)}.")
            if time.monotonic() >= deadline:
                if not params["shutdown_sessions"] or (cut and time.monotonic() >= deadline + SHUTDOWN_SECONDS):
                    raise HaproxyError(ran_out(params, lacks, cut))
                # Again at each look, because a cookie may bring new sessions to a draining server
                cut = True
                for server in servers:
                    if server.sessions:
                        client.shutdown_sessions(f"{backend}/{server.name}")
                        if server.name not in result["sessions_shut_down"]:
                            result["sessions_shut_down"].append(server.name)
        pause = POLL_SECONDS[min(looks, len(POLL_SECONDS) - 1)]
        looks += 1
        left = deadline - time.monotonic()
        time.sleep(min(pause, left) if left > 0 else POLL_SECONDS[0])


def check_kept(servers: list[Server], state: str, reloaded: bool) -> None:
    lost = [f"{server.name} is {server.state}" for server in servers if server.state != state]
    if lost:
        why = (
            "HAProxy was reloaded and did not keep the state (see load-server-state-from-file)"
            if reloaded
            else "somebody else, an agent check or a reload changed it"
        )
        raise HaproxyError(f"Set to {state}, but now {', '.join(lost)}: {why}.")


def ran_out(params: Params, lacks: list[str], cut: bool) -> str:
    text = f"Not {'up' if params['state'] == 'ready' else 'without sessions'} within wait_timeout"
    text += f" ({params['wait_timeout']} s): {'; '.join(lacks)}. State {params['state']} stays set."
    if params["state"] == "ready":
        return text
    if cut:
        text += " The sessions were shut down, but some are left, or new ones have come."
    if params["state"] == "drain":
        text += " Clients with a persistence cookie still come to a draining server; state maint keeps them away."
    return text if cut else f"{text} To end the remaining sessions, set shutdown_sessions."


def foreseen(server: Server, params: Params) -> Result:
    """The facts that the run would change."""
    then = desired(server, params)
    moved = {"address": f"{server.host}:{then.port}"} if then.port != server.port else {}
    return {"state": then.state, "weight": then.weight, **moved}


def diff(servers: list[Server], params: Params) -> Result:
    shown = Setting._fields if params["port"] else ("state", "weight")

    def lines(settings: t.Callable[[Server], Setting]) -> Result:
        return {f"{one.backend}/{one.name}": {name: getattr(settings(one), name) for name in shown} for one in servers}

    return {"before": lines(setting_of), "after": lines(lambda one: desired(one, params))}


def run(module: AnsibleModule, result: Result) -> None:
    params = module.params
    check_params(params)
    client = Client(params["socket"])
    pid = client.info()["Pid"]
    servers = read(client, params["backend"], params["servers"])
    result["servers"] = [server.facts() for server in servers]
    if module._diff:
        result["diff"] = diff(servers, params)
    if module.check_mode:
        result["changed"] = any(setting_of(server) != desired(server, params) for server in servers)
    else:
        apply(client, servers, params, result)
    # So that they are right even if HAProxy dies before it can be asked again
    result["servers"] = [{**server.facts(), **foreseen(server, params)} for server in servers]
    if module.check_mode:
        return
    if params["state"] and params["wait"]:
        wait(client, params, result, pid, module.warn)
    elif result["changed"]:
        servers = read(client, params["backend"], params["servers"])
        result["servers"] = [server.facts() for server in servers]
    if params["state"] == "ready" and params["weight"] is None:
        for facts in result["servers"]:
            if facts["weight"] == 0:
                module.warn(f"{facts['name']} is ready, but its weight is 0, so it gets no new clients: set weight.")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "backend": {"type": "str", "required": True},
            "servers": {"type": "list", "elements": "str", "required": True},
            "state": {"type": "str", "choices": ["ready", "drain", "maint"]},
            "weight": {"type": "str"},
            "port": {"type": "int"},
            "wait": {"type": "bool", "default": True},
            "wait_timeout": {"type": "int", "default": 120},
            "shutdown_sessions": {"type": "bool", "default": False},
            "socket": {"type": "str", "default": DEFAULT_SOCKET},
        },
        required_one_of=[("state", "weight", "port")],
        supports_check_mode=True,
    )
    result: Result = {
        "changed": False,
        "backend": module.params["backend"],
        "servers": [],
        "sessions_shut_down": [],
    }
    try:
        run(module, result)
    except HaproxyError as error:
        module.fail_json(msg=str(error), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
