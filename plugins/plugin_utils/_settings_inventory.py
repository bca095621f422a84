# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: what is wrong with an inventory: its groups and addresses, the variables of the playbooks,
# and variables that are where nothing reads them.

from __future__ import annotations

import importlib.util
import ipaddress
import re
import typing as t
from collections.abc import Iterable, Mapping, Sequence

from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_deploy import deploy_problems
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_names import (
    PLAYBOOKS,
    TIER_OF_ROLE,
    TIERS,
    options_of,
)
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_service import (
    pools_problems,
    service_problems,
)

LOCAL = "localhost"
# Where each tier listens: other tiers could not reach one that listens for itself only
LISTENS = {"app": "app_publish_address", "postgresql": "postgresql_listen_addresses", "redis": "redis_bind"}
# What makes these of group_vars reads variables of the data tier, on the app servers
JOINED = {
    "scaleout_database_url": ("postgresql", "postgresql_database postgresql_password postgresql_port postgresql_user"),
    "scaleout_redis_url": ("redis", "redis_password redis_port redis_user"),
}
Variables = Mapping[str, t.Any]
Groups = Mapping[str, Sequence[str]]
MISSING = object()
HOST = re.compile(r"[A-Za-z0-9_.-]+")
NUMBERS = re.compile(r"[0-9.]+")


def missing_collections(groups: Groups) -> list[str]:
    """A sentence for each collection that roles of this inventory need and this machine does not have."""
    needed = ["community.docker", *(["community.postgresql"] if groups.get("postgresql") else [])]
    return [
        f"The collection {name} is not on this machine, or not where Ansible looks for collections. Install it: "
        f"ansible-galaxy collection install {name}. (The package ansible has it; ansible-core alone does not.)"
        for name in needed
        if not _is_there(f"ansible_collections.{name}")
    ]


def _is_there(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        # Nor what it is in
        return False


def inventory_problems(raw: Mapping[str, Variables], values: Mapping[str, Variables], groups: Groups) -> list[str]:
    """A sentence for each problem.

    `raw`: each host's variables as they were written, those of localhost among them; `values`: what they mean, where
    that is known.
    """
    members = {tier: list(groups.get(tier, ())) for tier in TIERS}
    hosts = list(dict.fromkeys(host for tier in TIERS for host in members[tier]))
    problems = _empty(members, values[LOCAL])
    problems += _service(hosts, members, raw, values)
    without = [host for host in hosts if not values[host].get("private_address")]
    if without:
        problems.append(
            f"{', '.join(without)}: no private_address. With droplets, inventory/digitalocean.yml composes it from the "
            "VPC address; with a static inventory, set it for each host."
        )
    for tier, name in LISTENS.items():
        if unset := [host for host in members[tier] if name not in raw[host]]:
            problems.append(
                f"{', '.join(unset)}: {name} is not set, so the other tiers could not reach them. Copy its line from "
                f"the inventory/group_vars/{tier}.yml that comes with the collection."
            )
    problems += _of_playbooks(hosts, raw, values)
    problems += _ports(members, values)
    problems += _addresses(hosts, members, values)
    problems += _droplets(values[LOCAL])
    return problems + misplaced(raw, members)


def _addresses(hosts: Sequence[str], members: Groups, values: Mapping[str, Variables]) -> list[str]:
    """Names and addresses that can't be, or that two hosts have."""
    problems = [
        f"{host}: a host's name must be letters, digits, ., _ and -, for it is the server's name in HAProxy."
        for host in members["app"]
        if not HOST.fullmatch(host)
    ]
    for name in ("private_address", "ansible_host"):
        of = {host: str(values[host][name]) for host in hosts if values[host].get(name)}
        for host, address in of.items():
            if NUMBERS.fullmatch(address) and not _is_address(address):
                problems.append(f"{host}: {name} is {address}, which is no address.")
        for address in dict.fromkeys(of.values()):
            # Hosts of several tiers may be one machine under several names
            same = [host for host in members["app"] if of.get(host) == address]
            # Hosts behind a router have one address, and each its own port
            one_port = len({str(values[host].get("ansible_port", 22)) for host in same}) == 1
            # What localhost has, too, is of the command line
            if len(same) > 1 and one_port and str(values[LOCAL].get(name)) != address:
                problems.append(f"{' and '.join(same)} have one {name}, {address}; each host must have its own.")
    return problems


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _droplets(local: Variables) -> list[str]:
    """What is wrong with the variables of the playbooks that make droplets."""
    problems = []
    count = local.get("app_count", 1)
    if not re.fullmatch(r"[1-9][0-9]*", str(count)):
        problems.append(f"app_count is '{count}'; it must be a number of app servers, at least 1.")
    elif "scaleout_pools" in local:
        problems += pools_problems(local["scaleout_pools"])
    return problems


def _empty(members: Groups, local: Variables) -> list[str]:
    empty = [tier for tier in ("app", "lb") if not members[tier]]
    if not empty:
        return []
    problem = (
        f"No host in {'groups' if len(empty) > 1 else 'group'} {', '.join(empty)}. With droplets, ansible-playbook "
        "playbooks/provision.yml makes those of scaleout_pools (inventory/group_vars/all.yml), and each tag of a "
        "droplet is a group. With a static inventory, add hosts to the group."
    )
    if unclaimed := local.get("scaleout_unclaimed"):
        service = local.get("scaleout_service")
        problem += (
            f" These droplets are of no service, because they were made before there were services: "
            f"{', '.join(unclaimed)}. If they are of service {service}, adopt them: ansible-playbook "
            "playbooks/adopt.yml, or alphacoder.scaleout.adopt where the collection is installed."
        )
    return [problem]


def _service(
    hosts: Iterable[str], members: Groups, raw: Mapping[str, Variables], values: Mapping[str, Variables]
) -> list[str]:
    local = values[LOCAL]
    settings = {name: local.get(name) for name in ("scaleout_service", "scaleout_inventory_service", "service")}
    tags = {host: values[host]["do_tags"] for host in hosts if "do_tags" in values[host]}
    secrets = None
    for host in members["app"][:1]:
        if "scaleout_secrets_dir" in raw[host]:
            # Empty where it needs the service's name, and there is none
            secrets = str(values[host].get("scaleout_secrets_dir", ""))
    return service_problems(settings, hosts=tags, secrets=secrets)


def _of_playbooks(hosts: Iterable[str], raw: Mapping[str, Variables], values: Mapping[str, Variables]) -> list[str]:
    """What is wrong with the names and the values of the playbooks' variables. All hosts have most of them."""
    problems = []
    for host in (*hosts, LOCAL):
        names = [name for name in raw[host] if name.startswith(("deploy_", "rollout_", "scaleout_"))]
        settings: dict[str, t.Any] = dict.fromkeys(names)
        # Of others, the value may need what is not there, such as a host of group redis
        for name in ("release", *(name for name in names if name.startswith("deploy_"))):
            if name in values[host]:
                settings[name] = values[host][name]
            else:
                settings.pop(name, None)
        problems += deploy_problems(settings)
    return list(dict.fromkeys(problems))


def _ports(members: Groups, values: Mapping[str, Variables]) -> list[str]:
    """Where the load balancers ask for the app, and where it is. Several apps have each their own port."""
    if values[LOCAL].get("scaleout_apps"):
        return []
    problems = []
    for host in members["app"]:
        asked, published = (values[host].get(name, 8000) for name in ("scaleout_app_port", "app_publish_port"))
        if str(asked) != str(published):
            problems.append(
                f"{host}: app_publish_port is {published}, but the load balancers ask scaleout_app_port, {asked}. Set "
                "scaleout_app_port alone, in group_vars/all.yml: app_publish_port follows it."
            )
    for first in members["app"][:1]:
        of_app = values[first].get("scaleout_app_port", 8000)
        for host in members["lb"]:
            of_lb = values[host].get("scaleout_app_port", 8000)
            if str(of_app) != str(of_lb):
                problems.append(
                    f"scaleout_app_port is {of_app} for {first} and {of_lb} for {host}. Set it in group_vars/all.yml, "
                    "which holds for both."
                )
    return problems


def misplaced(raw: Mapping[str, Variables], members: Groups) -> list[str]:
    """A sentence for each variable that some hosts have, and not those whose value is read."""
    hosts = list(dict.fromkeys(host for tier in TIERS for host in members[tier]))
    problems = []
    joined = _joined(raw, members)
    readers = {name: (tier,) for role, tier in TIER_OF_ROLE.items() for name in options_of(role)} | PLAYBOOKS
    for name, places in readers.items():
        # What localhost has, all have: it is from group_vars/all.yml or the command line
        own = [host for host in hosts if name in raw[host] and raw[host][name] != raw[LOCAL].get(name, MISSING)]
        there = {place: [LOCAL] if place == LOCAL else members[place] for place in places}
        read = [host for place in there.values() for host in place]
        # A managed database has no hosts; what group_vars say of it is for others
        if not own or not read or name in joined:
            continue
        used = [raw[host].get(name, MISSING) for host in read]
        astray = [
            host
            for host in own
            if host not in read
            and raw[host][name] not in used
            # What is made of one that localhost reads is for localhost, too
            and (places == (LOCAL,) or not _mentions(raw[host], name))
        ]
        # One that a group of all tiers has, such as a region's, and the tier's own overrules
        tiers = [tier for tier in TIERS if not set(members[tier]) & set(read) and set(members[tier]) & set(astray)]
        if set(astray) == set(hosts) - set(read) and len(tiers) > 1:
            astray = []
        lacking = [place for place, its in there.items() if its and not any(name in raw[host] for host in its)]
        file = f"{places[0]}.yml" if len(places) == 1 and places[0] != LOCAL else "all.yml"
        if astray:
            where = "where nothing reads it"
        elif lacking and set(own) & set(read):
            where = f"and is read for {' and '.join(lacking)}, too"
        else:
            continue
        problems.append(
            f"{name} is set for {', '.join(astray or own)}, {where}: move it to inventory/group_vars/{file}."
        )
    return problems + list(joined.values())


def _texts(value: t.Any) -> t.Iterator[str]:
    """The texts in a value, but for those that are encrypted."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)


def _mentions(variables: Variables, name: str) -> bool:
    """Whether another variable of the host is made of this one."""
    others = (text for other in variables if other != name for text in _texts(variables[other]))
    return any("{" in text and re.search(rf"\b{name}\b", text) for text in others)


def _joined(raw: Mapping[str, Variables], members: Groups) -> dict[str, str]:
    """What the app's URLs are made of on the app servers, and is another one in the data tier: a sentence for each."""
    problems = {}
    for host in members["app"][:1]:
        for url, (tier, names) in JOINED.items():
            for name in names.split() if _mentions(raw[host], url) else ():
                others = [one for one in members[tier] if raw[one].get(name, MISSING) != raw[host].get(name, MISSING)]
                if others:
                    problems[name] = (
                        f"{name} is not the same for {', '.join(others)} and for {host}, where {url} is made of it: "
                        "move it to inventory/group_vars/all.yml."
                    )
    return problems
