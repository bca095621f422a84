#!/usr/bin/python
# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: droplet_pool
short_description: There are so many droplets like this
version_added: 0.1.0
author:
  - alphacoder (@alphacoder)
description:
  - Makes a pool of DigitalOcean droplets have O(count) droplets. They are called C(<name>-1), C(<name>-2)
    and so on. What is missing is created, with the lowest free numbers; what is too much is removed, the
    highest numbers first.
  - A droplet is in the pool if it carries the pool's own tag C(pool:<name>), which the module gives to
    those that it creates, and has a name of the pool. A droplet without that tag is never touched.
  - With O(wait), which is the default, the task ends when each droplet of the pool answers over SSH.
notes:
  - Runs on the controller, with C(hosts) or C(delegate_to) C(localhost).
  - A droplet that is removed is gone for good, with its disk. Take it out of the load balancer first. In
    check mode the module returns in RV(removed) which ones a smaller O(count) removes.
  - O(size), O(image), O(region) and O(vpc_uuid) hold for new droplets. Where an existing one differs there
    is a warning and no change.
  - O(user_data), O(ssh_keys) and O(monitoring) hold for new droplets too, but the API does not tell what an
    existing one has.
extends_documentation_fragment:
  - alphacoder.scaleout.digitalocean
  - alphacoder.scaleout.attributes
  - alphacoder.scaleout.attributes.action_group
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description:
      - The pool's name, of letters, digits and hyphens.
    type: str
    required: true
  count:
    description:
      - How many droplets the pool has. Required if O(state=present), ignored if O(state=absent).
    type: int
  state:
    description:
      - V(absent) removes all droplets of the pool, however many there are.
    type: str
    choices: [present, absent]
    default: present
  size:
    description:
      - The size of new droplets, for example V(s-1vcpu-1gb). Required if one has to be created.
    type: str
  region:
    description:
      - Where new droplets are, for example V(fra1). Required if one has to be created.
    type: str
  image:
    description:
      - The image of new droplets, by slug or by id.
    type: str
    default: debian-13-x64
  vpc_uuid:
    description:
      - The VPC network of new droplets. If not set, the region's default one.
    type: str
  ssh_keys:
    description:
      - The SSH keys that may log in to new droplets, by the name, the id or the fingerprint that they have
        in the account.
      - If not set, all keys of the account. An empty list is none, for droplets that O(user_data) gives a
        way in.
    type: list
    elements: str
  tags:
    description:
      - Tags that each droplet of the pool has, beside the pool's own. One that is missing on an existing
        droplet is added; a tag that is not listed here stays.
    type: list
    elements: str
    default: []
  user_data:
    description:
      - What cloud-init does on the first start of a new droplet, at most 64 KiB. It is kept out of the log.
    type: str
  monitoring:
    description:
      - Whether new droplets have DigitalOcean's monitoring agent.
    type: bool
    default: false
  wait:
    description:
      - Whether to wait until each droplet of the pool is active, has an address and answers over SSH at its
        public address (or its private one, if it has no other), and until those that are removed are gone.
      - This holds for droplets as well that were there before.
    type: bool
    default: true
  wait_timeout:
    description:
      - How many seconds O(wait) may take in all.
    type: int
    default: 300
  max_removals:
    description:
      - How many droplets one run may remove. If it were more, the task fails and removes none, so that a
        slip in O(count) does not cost the service.
      - Does not hold for O(state=absent).
    type: int
    default: 1
seealso:
  - plugin: alphacoder.scaleout.droplets
    plugin_type: inventory
"""

EXAMPLES = r"""
# The token is in the environment: export DIGITALOCEAN_TOKEN=...

- name: Three app servers
  alphacoder.scaleout.droplet_pool:
    name: app
    count: 3
    size: s-1vcpu-1gb
    region: fra1
    tags: [scaleout, app]
  delegate_to: localhost
  register: pool

- name: A bigger number later makes the difference, a smaller one removes it
  alphacoder.scaleout.droplet_pool:
    name: app
    count: 2
    size: s-1vcpu-1gb
    region: fra1
    tags: [scaleout, app]
  delegate_to: localhost

- name: Learn which droplets a smaller number would remove
  alphacoder.scaleout.droplet_pool:
    name: app
    count: 1
    max_removals: 2
  check_mode: true
  delegate_to: localhost
  register: planned

- name: Say it
  ansible.builtin.debug:
    msg: "To be drained first: {{ planned.removed | join(', ') }}"

- name: One pool is no longer needed
  alphacoder.scaleout.droplet_pool:
    name: app
    state: absent
  delegate_to: localhost

- name: The token from a vault, once for all tasks of a play
  hosts: localhost
  module_defaults:
    group/alphacoder.scaleout.all:
      api_token: "{{ vault_digitalocean_token }}"
  tasks:
    - name: Data tier with named keys and a first-start script
      alphacoder.scaleout.droplet_pool:
        name: data
        count: 1
        size: s-1vcpu-2gb
        region: fra1
        ssh_keys: [laptop, "512190"]
        user_data: "{{ lookup('ansible.builtin.file', 'cloud-init.yml') }}"
"""

RETURN = r"""
droplets:
  description:
    - The pool's droplets after the run, in the order of their numbers.
    - In check mode, those that exist and would stay.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: The droplet's id.
      type: int
      sample: 3164494
    name:
      description: The droplet's name.
      type: str
      sample: app-1
    status:
      description: V(active) once it runs; V(new) before that, if O(wait=false).
      type: str
      sample: active
    public_ipv4:
      description: The public address, or none.
      type: str
      sample: 203.0.113.10
    private_ipv4:
      description: The address in the VPC network, or none.
      type: str
      sample: 10.114.0.2
    tags:
      description: All of its tags.
      type: list
      elements: str
      sample: [scaleout, app, "pool:app"]
    region:
      description: Where it is.
      type: str
      sample: fra1
    size:
      description: What size it is.
      type: str
      sample: s-1vcpu-1gb
    image:
      description: The image's slug, or its id as text if it has no slug.
      type: str
      sample: debian-13-x64
created:
  description: Names of the droplets that were created, or in check mode would be.
  returned: always
  type: list
  elements: str
  sample: [app-3]
removed:
  description: Names of the droplets that were removed, or in check mode would be.
  returned: always
  type: list
  elements: str
  sample: []
"""

import socket
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor

from ansible.module_utils.basic import AnsibleModule, env_fallback
from ansible_collections.alphacoder.scaleout.plugins.module_utils._digitalocean import (
    DEFAULT_URL,
    TOKEN_VARIABLES,
    URL_VARIABLES,
    ApiError,
    Client,
    droplet_facts,
)
from ansible_collections.alphacoder.scaleout.plugins.module_utils._pool import (
    Desired,
    Droplet,
    Plan,
    PoolError,
    check,
    has_tag,
    members,
    plan,
)

# The API's own limits
NAMES_IN_A_CALL = 10
MAX_USER_DATA = 64 * 1024

SSH_PORT = 22
SSH_TIMEOUT = 5.0
SSH_WORKERS = 20
POLL_SECONDS = 2.0

RETURNED = ("id", "name", "status", "public_ipv4", "private_ipv4", "tags", "region", "size", "image")

Params = dict[str, t.Any]
Result = dict[str, t.Any]


def desired_pool(params: Params) -> Desired:
    absent = params["state"] == "absent"
    desired = Desired(
        name=params["name"],
        count=0 if absent else params["count"],
        tags=tuple(params["tags"]),
        size=params["size"],
        region=params["region"],
        image=params["image"],
        vpc_uuid=params["vpc_uuid"],
    )
    check(desired)
    if params["max_removals"] < 0:
        raise PoolError(f"max_removals is {params['max_removals']}, but it takes 0 or more.")
    if len((params["user_data"] or "").encode()) > MAX_USER_DATA:
        raise PoolError("user_data is larger than the 64 KiB that the API takes.")
    return desired


def read_droplets(client: Client, desired: Desired) -> list[Droplet]:
    return [droplet_facts(raw) for raw in client.list_all("/droplets", "droplets", {"tag_name": desired.own_tag})]


def template_of_new(client: Client, desired: Desired, params: Params) -> Params:
    """What each new droplet has in common. Everything that can be wrong with it is found here, before a change."""
    missing = [option for option in ("size", "region") if not params[option]]
    if missing:
        raise PoolError(f"Pool {desired.name} needs new droplets, and for these the option {' and '.join(missing)}.")
    image = params["image"]
    body = {
        "size": params["size"],
        "region": params["region"],
        "image": int(image) if image.isdigit() else image,
        "ssh_keys": key_ids(client, params["ssh_keys"]),
        "tags": desired.all_tags,
        "monitoring": params["monitoring"],
        "vpc_uuid": params["vpc_uuid"],
        "user_data": params["user_data"],
    }
    return {field: value for field, value in body.items() if value is not None}


def key_ids(client: Client, wanted: list[str] | None) -> list[int]:
    account = client.list_all("/account/keys", "ssh_keys")
    if wanted is None:
        if not account:
            raise PoolError(
                "The account has no SSH key, so nobody could log in to a new droplet: add one at "
                "https://cloud.digitalocean.com/account/security, or set ssh_keys to [] if user_data gives a way in."
            )
        return [key["id"] for key in account]
    found: dict[int, None] = {}
    unknown = []
    for want in wanted:
        matching = [key["id"] for key in account if want in (str(key["id"]), key.get("fingerprint"), key.get("name"))]
        if not matching:
            unknown.append(want)
        found.update(dict.fromkeys(matching))
    if unknown:
        there = ", ".join(f"{key.get('name')} ({key['id']})" for key in account) or "none"
        raise PoolError(f"The account has no SSH key {', '.join(unknown)}. It has: {there}.")
    return list(found)


def add_tags(client: Client, tag: str, ids: list[int]) -> None:
    try:
        # The answer has the tag in the capitals that the API knows it by, which its path needs
        tag = client.post("/tags", {"name": tag}, idempotent=True).get("tag", {}).get("name", tag)
    except ApiError as error:
        # It is there already
        if error.status not in (409, 422):
            raise
    resources = [{"resource_id": str(one), "resource_type": "droplet"} for one in ids]
    client.post(f"/tags/{tag}/resources", {"resources": resources}, idempotent=True)


def create(client: Client, names: list[str], template: Params) -> t.Iterator[Droplet]:
    """Yields as it goes, so that a failure halfway leaves it known what is there."""
    for start in range(0, len(names), NAMES_IN_A_CALL):
        batch = names[start : start + NAMES_IN_A_CALL]
        try:
            answer = client.post("/droplets", {**template, "names": batch})
        except ApiError as error:
            text = str(error)
            if not 400 <= (error.status or 0) < 500:
                text += ". It is not known whether this made droplets: run it again in a minute, which looks first"
            if start:
                text += f". Created before that: {', '.join(names[:start])}"
            raise ApiError(text, error.status) from None
        made = [{**droplet_facts(raw), "tags": template["tags"]} for raw in answer.get("droplets") or []]
        yield from made
        lacking = sorted(set(batch) - {droplet["name"] for droplet in made})
        if lacking:
            raise PoolError(f"The API took the request to create droplets, but made none for {', '.join(lacking)}.")


def look(client: Client, desired: Desired, droplets: list[Droplet]) -> list[Droplet]:
    """The droplets as they are now; one that is gone, or that the API does not show yet, is left out."""
    listed = {droplet["id"]: droplet for droplet in read_droplets(client, desired)}
    # A new droplet is missing from the list for some seconds
    for droplet in droplets:
        if droplet["id"] not in listed:
            try:
                listed[droplet["id"]] = droplet_facts(client.get(f"/droplets/{droplet['id']}")["droplet"])
            except ApiError as error:
                if error.status != 404:
                    raise
    return [listed[droplet["id"]] for droplet in droplets if droplet["id"] in listed]


def lack(droplet: Droplet, deadline: float) -> str | None:
    """What a droplet still lacks before it can be used."""
    if droplet["status"] != "active":
        return f"is {droplet['status']}, not active"
    address = droplet["public_ipv4"] or droplet["private_ipv4"]
    if not address:
        return "has no address"
    return ssh_lack(address, min(SSH_TIMEOUT, max(deadline - time.monotonic(), 1.0)))


def ssh_lack(address: str, timeout: float) -> str | None:
    where = f"at {address} port {SSH_PORT}"
    try:
        with socket.create_connection((address, SSH_PORT), timeout=timeout) as connection:
            received = b""
            # A server may say other lines first (RFC 4253, 4.2)
            while b"SSH-" not in received and len(received) < 4096:
                part = connection.recv(1024)
                if not part:
                    break
                received += part
    except OSError as error:
        return f"does not answer over SSH {where} ({error.strerror or error})"
    return None if b"SSH-" in received else f"sends no SSH banner {where}"


def wait_ready(client: Client, desired: Desired, droplets: list[Droplet], deadline: float) -> list[Droplet]:
    current = droplets
    while True:
        with ThreadPoolExecutor(max_workers=SSH_WORKERS) as pool:
            lacks = list(pool.map(lambda droplet: lack(droplet, deadline), current))
        there = {droplet["id"] for droplet in current}
        waiting = [f"{droplet['name']} {what}" for droplet, what in zip(current, lacks, strict=True) if what]
        waiting += [f"{droplet['name']} is not there" for droplet in droplets if droplet["id"] not in there]
        if not waiting:
            return current
        if time.monotonic() >= deadline:
            raise PoolError(f"Not ready within wait_timeout: {', '.join(waiting)}. Run it again to go on waiting.")
        time.sleep(POLL_SECONDS)
        current = look(client, desired, droplets)


def wait_gone(client: Client, desired: Desired, removed: list[Droplet], deadline: float) -> None:
    ids = {droplet["id"] for droplet in removed}
    while left := [droplet["name"] for droplet in read_droplets(client, desired) if droplet["id"] in ids]:
        if time.monotonic() >= deadline:
            raise PoolError(f"Not gone within wait_timeout, though the API took the request: {', '.join(left)}.")
        time.sleep(POLL_SECONDS)


def apply(client: Client, desired: Desired, the_plan: Plan, template: Params, params: Params, result: Result) -> None:
    """Fills result as it goes, so that a failure halfway returns what was done."""
    deadline = time.monotonic() + params["wait_timeout"]
    pool = {droplet["id"]: droplet for droplet in [*the_plan.keep, *the_plan.remove]}
    added: dict[str, list[int]] = {}
    try:
        for tag, ids in the_plan.add_tags.items():
            add_tags(client, tag, ids)
            added[tag] = ids
            result["changed"] = True
        for droplet in create(client, the_plan.create, template):
            pool[droplet["id"]] = droplet
            result["created"].append(droplet["name"])
            result["changed"] = True
        for droplet in the_plan.remove:
            client.delete(f"/droplets/{droplet['id']}")
            del pool[droplet["id"]]
            result["removed"].append(droplet["name"])
            result["changed"] = True
        if params["wait"]:
            if the_plan.remove:
                wait_gone(client, desired, the_plan.remove, deadline)
            ready = wait_ready(client, desired, list(pool.values()), deadline)
            pool = {droplet["id"]: droplet for droplet in ready}
    finally:
        result["droplets"] = show(members(desired, with_tags(added, pool.values())))


def with_tags(added: dict[str, list[int]], droplets: t.Iterable[Droplet]) -> list[Droplet]:
    """The droplets with the tags that are added, whether they were read before or after that."""
    return [
        {
            **droplet,
            "tags": droplet["tags"]
            + [tag for tag, ids in added.items() if droplet["id"] in ids and not has_tag(droplet, tag)],
        }
        for droplet in droplets
    ]


def show(droplets: list[Droplet]) -> list[Droplet]:
    return [
        {**{field: droplet[field] for field in RETURNED}, "image": droplet["image"] and str(droplet["image"])}
        for droplet in droplets
    ]


def diff(desired: Desired, the_plan: Plan, params: Params) -> dict[str, Params]:
    fields = ("size", "region", "image", "tags")
    new = {"size": params["size"], "region": params["region"], "image": params["image"], "tags": desired.all_tags}
    before = {droplet["name"]: droplet for droplet in [*the_plan.keep, *the_plan.remove]}
    after = {droplet["name"]: droplet for droplet in with_tags(the_plan.add_tags, the_plan.keep)}
    after.update(dict.fromkeys(the_plan.create, new))
    return {
        side: {name: {field: droplets[name][field] for field in fields} for name in sorted(droplets)}
        for side, droplets in (("before", before), ("after", after))
    }


def run(module: AnsibleModule, result: Result) -> None:
    params = module.params
    desired = desired_pool(params)
    client = Client(
        token=params["api_token"] or "",
        url=params["api_url"],
        timeout=params["timeout"],
        retries=params["retries"],
        validate_certs=params["validate_certs"],
    )
    existing = read_droplets(client, desired)
    result["droplets"] = show(members(desired, existing))
    the_plan = plan(desired, existing, None if params["state"] == "absent" else params["max_removals"])
    for warning in the_plan.warnings:
        module.warn(warning)
    template = template_of_new(client, desired, params) if the_plan.create else {}
    if module._diff:
        result["diff"] = diff(desired, the_plan, params)
    if module.check_mode:
        result.update(
            changed=the_plan.changed,
            created=the_plan.create,
            removed=[droplet["name"] for droplet in the_plan.remove],
            droplets=show(with_tags(the_plan.add_tags, the_plan.keep)),
        )
        return
    apply(client, desired, the_plan, template, params, result)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "count": {"type": "int"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "size": {"type": "str"},
            "region": {"type": "str"},
            "image": {"type": "str", "default": "debian-13-x64"},
            "vpc_uuid": {"type": "str"},
            "ssh_keys": {"type": "list", "elements": "str", "no_log": False},
            "tags": {"type": "list", "elements": "str", "default": []},
            "user_data": {"type": "str", "no_log": True},
            "monitoring": {"type": "bool", "default": False},
            "wait": {"type": "bool", "default": True},
            "wait_timeout": {"type": "int", "default": 300},
            "max_removals": {"type": "int", "default": 1},
            "api_token": {"type": "str", "no_log": True, "fallback": (env_fallback, list(TOKEN_VARIABLES))},
            "api_url": {"type": "str", "default": DEFAULT_URL, "fallback": (env_fallback, list(URL_VARIABLES))},
            "timeout": {"type": "int", "default": 30},
            "retries": {"type": "int", "default": 4},
            "validate_certs": {"type": "bool", "default": True},
        },
        required_if=[("state", "present", ["count"])],
        supports_check_mode=True,
    )
    result: Result = {"changed": False, "droplets": [], "created": [], "removed": []}
    try:
        run(module, result)
    except (ApiError, PoolError) as error:
        module.fail_json(msg=str(error), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
