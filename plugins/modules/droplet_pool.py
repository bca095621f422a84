#!/usr/bin/python
# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: droplet_pool
short_description: Keep a pool of droplets at a given number
version_added: 0.1.0
author:
  - alphacoder (@alphacoder)
description:
  - Gives a pool of DigitalOcean droplets O(count) members, called C(<name>-1), C(<name>-2) and so on. Missing
    droplets are created, with the lowest free numbers; surplus droplets are removed, the highest numbers first.
  - A droplet is in the pool if it has a name of the pool, the pool's own tag C(pool:<name>), and the tag
    C(service:<service>) and that of no other service. The module gives both tags to each droplet that it creates. Any
    other droplet is never counted, changed or removed, so that pools of several services in one account may have the
    same name.
  - If a droplet would be in the pool, but has no service's tag, because it was made before there were services, the
    task fails and changes nothing. O(state=adopted) gives it the tag.
  - With O(wait), which is the default, the task ends when every droplet of the pool answers over SSH. With C(-v)
    it shows what it is waiting for.
notes:
  - Run it on the controller, with C(hosts) or C(delegate_to) set to C(localhost). Elsewhere, and with C(async), it
    does not show what it is waiting for.
  - A run that fails halfway keeps the droplets that it created, and names them; the next run carries on from there.
  - A removed droplet is gone for good, and so is its disk. Take it out of the load balancer first. In check mode
    the module returns in RV(removed) which droplets a smaller O(count) removes.
  - O(size), O(image), O(region) and O(vpc_uuid) apply to new droplets. Existing ones are never changed; if one
    differs, O(on_drift) decides what happens.
  - O(user_data), O(ssh_keys), O(monitoring), O(ipv6), O(backups) and O(public_networking) apply to new droplets, too,
    and existing ones are not compared with them.
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
  service:
    description:
      - The service that the pool belongs to, such as V(shop-staging). It may hold lower-case letters, digits and
        hyphens, at most 63.
    type: str
    required: true
  name:
    description:
      - The pool's name. It may hold letters, digits and hyphens.
    type: str
    required: true
  count:
    description:
      - How many droplets the pool has. Required if O(state=present), otherwise ignored.
    type: int
  state:
    description:
      - V(absent) removes every droplet of the pool, however many there are.
      - V(adopted) gives the tag C(service:<service>) to the droplets that have a name of the pool and its own tag, but
        no service's, and does nothing else. Run it for the service that they belong to, for it can't tell.
    type: str
    choices: [present, absent, adopted]
    default: present
  size:
    description:
      - The size of new droplets, such as V(s-1vcpu-1gb). Required if one has to be created.
    type: str
  region:
    description:
      - The region of new droplets, such as V(fra1). Required if one has to be created.
    type: str
  image:
    description:
      - The image of new droplets, by slug or by id.
    type: str
    default: debian-13-x64
  vpc_uuid:
    description:
      - The VPC network of new droplets. If not set, the region's default network.
    type: str
  ssh_keys:
    description:
      - The SSH keys that new droplets accept, each by its name, id or fingerprint in the account.
      - If not set, all keys of the account. An empty list means none, for droplets where O(user_data) provides
        another way to log in.
    type: list
    elements: str
  tags:
    description:
      - Tags for every droplet of the pool, in addition to the pool's own and the service's. A tag that an existing
        droplet lacks is added; tags that are not listed here stay.
    type: list
    elements: str
    default: []
  user_data:
    description:
      - What cloud-init does when a new droplet starts for the first time, at most 64 KiB. It is kept out of the log.
    type: str
  monitoring:
    description:
      - Whether new droplets get DigitalOcean's monitoring agent.
    type: bool
    default: false
  ipv6:
    description:
      - Whether new droplets get a public IPv6 address.
    type: bool
    default: false
  backups:
    description:
      - Whether DigitalOcean makes backups of new droplets, which costs extra.
    type: bool
    default: false
  public_networking:
    description:
      - Whether new droplets get a public IPv4 address. Without one they are reached over the private network only, such
        as through a bastion host, so O(wait) does not ask whether they answer over SSH.
    type: bool
    default: true
  on_drift:
    description:
      - What to do if a droplet that stays differs from the pool in O(size), O(image), O(region) or O(vpc_uuid).
      - V(report) warns and goes on. V(fail) ends the task before it changes anything.
      - Either way, RV(drift) lists the differences. Missing tags are not among them, because they are added.
    type: str
    choices: [report, fail]
    default: report
  wait:
    description:
      - Whether to wait until each droplet of the pool is listed by the API, is active, has an address and answers
        over SSH at its public address, and until those that are removed are gone. One that was there before and has no
        public address is asked at its private one; what is different without O(public_networking) is said there.
      - This includes droplets that existed before. If one of them is off or archived, the task fails at once and
        changes nothing, because waiting would not help; without O(wait) there is a warning.
      - Without it, the task ends as soon as the API lists the new droplets.
    type: bool
    default: true
  wait_timeout:
    description:
      - How many seconds O(wait) may take altogether.
    type: int
    default: 300
  max_removals:
    description:
      - How many droplets one run may remove. If O(count) asks for more, the task fails and removes none, so that a
        typo can't cost you the service.
      - Ignored unless O(state=present).
    type: int
    default: 1
seealso:
  - plugin: alphacoder.scaleout.droplets
    plugin_type: inventory
"""

EXAMPLES = r"""
# The token is in the environment: export DIGITALOCEAN_TOKEN=...

- name: Have three app servers
  alphacoder.scaleout.droplet_pool:
    service: shop-staging
    name: app
    count: 3
    size: s-1vcpu-1gb
    region: fra1
    tags: [app]
  delegate_to: localhost
  register: pool

- name: Later, remove one again
  alphacoder.scaleout.droplet_pool:
    service: shop-staging
    name: app
    count: 2
    size: s-1vcpu-1gb
    region: fra1
    tags: [app]
  delegate_to: localhost

- name: Find out which droplets a smaller count would remove
  alphacoder.scaleout.droplet_pool:
    service: shop-staging
    name: app
    count: 1
    max_removals: 2
  check_mode: true
  delegate_to: localhost
  register: planned

- name: Name them
  ansible.builtin.debug:
    msg: "Drain these first: {{ planned.removed | join(', ') }}"

- name: Fail if a droplet has another size or image than the pool
  alphacoder.scaleout.droplet_pool:
    service: shop-staging
    name: app
    count: 2
    size: s-2vcpu-2gb
    region: fra1
    on_drift: fail
  delegate_to: localhost

- name: Take over droplets that were made before there were services
  alphacoder.scaleout.droplet_pool:
    service: shop-staging
    name: app
    state: adopted
  delegate_to: localhost

- name: Remove a pool that is no longer needed
  alphacoder.scaleout.droplet_pool:
    service: shop-staging
    name: app
    state: absent
  delegate_to: localhost

- name: Take the token from a vault, once for all tasks of a play
  hosts: localhost
  module_defaults:
    group/alphacoder.scaleout.all:
      api_token: "{{ vault_digitalocean_token }}"
  tasks:
    - name: Have a data tier with named keys and a cloud-init script
      alphacoder.scaleout.droplet_pool:
        service: shop-staging
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
      description: V(active) once it runs; V(new) before that, if O(wait=false). Can also be V(off) or V(archive).
      type: str
      sample: active
    public_ipv4:
      description: The public address, or V(none).
      type: str
      sample: 203.0.113.10
    private_ipv4:
      description: The address in the VPC network, or V(none).
      type: str
      sample: 10.114.0.2
    tags:
      description: All of its tags.
      type: list
      elements: str
      sample: ["service:shop-staging", "pool:app", app]
    region:
      description: The region's slug.
      type: str
      sample: fra1
    size:
      description: The size's slug.
      type: str
      sample: s-1vcpu-1gb
    image:
      description: The image's slug, or its id as text if it has no slug.
      type: str
      sample: debian-13-x64
    ready_after:
      description:
        - How many seconds after the start of the task the droplet answered over SSH.
        - V(none) if the task did not wait for it, or if it does not answer yet.
      type: float
      sample: 24.3
created:
  description: Names of the droplets that were created, or would be in check mode.
  returned: always
  type: list
  elements: str
  sample: [app-3]
tagged:
  description: Names of the droplets that were given a missing tag, or would be in check mode.
  returned: always
  type: list
  elements: str
  sample: [app-1]
drift:
  description: Where the droplets that stay differ from the pool.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The droplet's name.
      type: str
      sample: app-1
    id:
      description: The droplet's id.
      type: int
      sample: 3164494
    option:
      description: O(size), O(region), O(image) or O(vpc_uuid).
      type: str
      sample: size
    wanted:
      description: The option's value.
      type: str
      sample: s-2vcpu-2gb
    actual:
      description: The droplet's value.
      type: str
      sample: s-1vcpu-1gb
removed:
  description: Names of the droplets that were removed, or would be in check mode.
  returned: always
  type: list
  elements: str
  sample: []
"""

import contextlib
import dataclasses
import os
import socket
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule, env_fallback
from ansible_collections.alphacoder.scaleout.plugins.module_utils._digitalocean import (
    DEFAULT_URL,
    MAX_RATE_LIMIT_WAIT,
    TAG_SCOPE,
    TOKEN_VARIABLES,
    URL_VARIABLES,
    ApiError,
    Client,
    droplet_facts,
    public_ipv4s,
    reserved_ipv4s,
)
from ansible_collections.alphacoder.scaleout.plugins.module_utils._pool import (
    PROGRESS_VARIABLE,
    Desired,
    Droplet,
    Plan,
    PoolError,
    adoption,
    check,
    down,
    drift_texts,
    has_tag,
    members,
    plan,
)

# The API's own limits
NAMES_IN_A_CALL = 10
MAX_USER_DATA = 64 * 1024

# What the API says of a droplet that something else is working on
PENDING = "pending event"

SSH_PORT = 22
SSH_TIMEOUT = 5.0
SSH_WORKERS = 20
# The API takes 250 requests a minute from everything that uses the token; one run leaves room for others
POLL_SECONDS = 2.0
SECONDS_A_REQUEST = 0.5
# A new droplet may be unknown by its id, too
UNKNOWN_SECONDS = 30.0
# Seconds between two looks at the create action of a droplet that is still new
ACTION_SECONDS = 10.0
# A new droplet is missing from lists for several seconds
LIST_SECONDS = 30.0
# How long to look for droplets of a request that failed but may have been carried out
FIND_SECONDS = 6.0
# The same line is repeated after this time
SAY_SECONDS = 10.0

RETURNED = ("id", "name", "status", "public_ipv4", "private_ipv4", "tags", "region", "size", "image")

Params = dict[str, t.Any]
Result = dict[str, t.Any]


class Progress:
    """Reports progress, which the action plugin shows at once: Ansible shows a module's output when the module ends."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._start = time.monotonic()
        self._last = ("", 0.0)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    def say(self, text: str) -> None:
        if not self._path or (text == self._last[0] and self.seconds < self._last[1] + SAY_SECONDS):
            return
        self._last = (text, self.seconds)
        # Another user's file, after become, is no reason to fail
        with contextlib.suppress(OSError), Path(self._path).open("a", encoding="utf-8") as stream:
            stream.write(f"{self.seconds:.1f} s: {text}\n")

    def pause(self, seconds: float) -> None:
        """Between two attempts of a request."""
        self.say(f"the API is busy or failing: next attempt in {seconds:.0f} s")
        time.sleep(seconds)


@dataclasses.dataclass
class Account:
    """What one pool needs of the API."""

    client: Client
    progress: Progress
    warn: t.Callable[[str], None]
    # The pool's own tag, in the capitals that the API knows it by
    tag: str
    requests: int = 0
    _reserved: frozenset[str] | None = None

    def facts(self, raw: Params) -> Droplet:
        return {**droplet_facts(raw, self._reserved or ()), "locked": raw.get("locked") is True}

    def droplets(self) -> list[Droplet]:
        """Those that the API lists for the pool's own tag, of whatever service: it can't list by two tags."""
        self.requests += 1
        found = self.client.list_all("/droplets", "droplets", {"tag_name": self.tag})
        # Only the list of reserved addresses tells which of two public addresses is the droplet's own
        if self._reserved is None and any(len(public_ipv4s(raw)) > 1 for raw in found):
            self._reserved = frozenset(reserved_ipv4s(self.client, self.warn))
        return [self.facts(raw) for raw in found]

    def first_look(self) -> list[Droplet]:
        if found := self.droplets():
            if not any(one["tags"] for one in found):
                # The pool would look empty, and grow with each run
                raise PoolError(
                    f"The API lists {', '.join(one['name'] for one in found)} by the tag {self.tag}, but does not show "
                    f"their tags, so whose they are can't be told. Nothing was changed. Give the token the scope "
                    f"{TAG_SCOPE}."
                )
            return found
        # A tag keeps the capitals of its first use, and a list by other capitals may be empty: create nothing twice
        for known in self.client.list_all("/tags", "tags", identity="name"):
            if known["name"] != self.tag and known["name"].casefold() == self.tag.casefold():
                self.tag = known["name"]
                return self.droplets()
        return []

    def droplet(self, droplet_id: int) -> Droplet | None:
        self.requests += 1
        try:
            return self.facts(self.client.get(f"/droplets/{droplet_id}")["droplet"])
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    def failed_creation(self, droplet_id: int) -> int | None:
        """The id of the action that should have created the droplet, if that ended in an error."""
        self.requests += 1
        try:
            actions = self.client.list_all(f"/droplets/{droplet_id}/actions", "actions")
        except ApiError as error:
            if error.status != 404:
                raise
            return None
        return next((a["id"] for a in actions if (a.get("type"), a.get("status")) == ("create", "errored")), None)

    def rest(self) -> None:
        """Until it is time to ask again."""
        time.sleep(max(POLL_SECONDS, self.requests * SECONDS_A_REQUEST))
        self.requests = 0


def desired_pool(params: Params) -> Desired:
    desired = Desired(
        service=params["service"],
        name=params["name"],
        count=params["count"] if params["state"] == "present" else 0,
        tags=tuple(params["tags"]),
        size=params["size"],
        region=params["region"],
        image=params["image"],
        vpc_uuid=params["vpc_uuid"],
    )
    check(desired)
    for option in ("max_removals", "wait_timeout"):
        if params[option] < 0:
            raise PoolError(f"{option} is {params[option]}, but it takes 0 or more.")
    if len((params["user_data"] or "").encode()) > MAX_USER_DATA:
        raise PoolError("user_data is larger than the 64 KiB that the API takes.")
    return desired


def template_of_new(client: Client, desired: Desired, params: Params) -> Params:
    """What all new droplets have in common. Everything that can be wrong with it is found here, before any change."""
    missing = [option for option in ("size", "region") if not params[option]]
    if missing:
        raise PoolError(f"Pool {desired.name} needs new droplets: set {' and '.join(missing)}.")
    image = params["image"]
    body = {
        "size": params["size"],
        "region": params["region"],
        "image": int(image) if image.isdigit() else image,
        "ssh_keys": key_ids(client, params["ssh_keys"]),
        "tags": desired.all_tags,
        # What is true of a droplet without them is not sent
        **{name: True for name in ("monitoring", "ipv6", "backups") if params[name]},
        **({} if params["public_networking"] else {"public_networking": False}),
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
                "https://cloud.digitalocean.com/account/security, or set ssh_keys to [] if user_data provides "
                "another way in."
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
    refusal = None
    try:
        # The answer has the tag in the API's capitals, which the path needs
        tag = client.post("/tags", {"name": tag}, idempotent=True).get("tag", {}).get("name", tag)
    except ApiError as error:
        # It is there already, or may be
        if error.status not in (403, 409, 422):
            raise
        refusal = error
    resources = [{"resource_id": str(one), "resource_type": "droplet"} for one in ids]
    try:
        client.post(f"/tags/{tag}/resources", {"resources": resources}, idempotent=True)
    except ApiError as error:
        raise (refusal if refusal and error.status == 404 else error) from None


def create(account: Account, desired: Desired, names: list[str], template: Params) -> t.Iterator[Droplet]:
    """Yields as it goes, so that after a failure halfway the caller knows what exists."""
    before: list[str] = []
    for start in range(0, len(names), NAMES_IN_A_CALL):
        batch = names[start : start + NAMES_IN_A_CALL]
        account.progress.say(f"creating {', '.join(batch)}")
        failure = None
        try:
            answer = account.client.post("/droplets", {**template, "names": batch})
            made = [{**account.facts(raw), "tags": template["tags"]} for raw in answer.get("droplets") or []]
        except ApiError as error:
            failure = error
            made = found_after(account, desired, batch, error)
        before += [droplet["name"] for droplet in made]
        yield from made
        lacking = sorted(set(batch) - {droplet["name"] for droplet in made})
        if lacking and failure:
            raise ApiError(failed_creation_text(failure, lacking, before), failure.status) from None
        if lacking:
            raise PoolError(f"The API accepted the request, but did not create {', '.join(lacking)}. Run this again.")


def is_unclear(error: ApiError) -> bool:
    """Whether the request may have been carried out."""
    return not 400 <= (error.status or 0) < 500


def is_limit(error: ApiError) -> bool:
    # The API does not document whether it creates part of a batch that goes beyond the limit
    return error.status == 422 and "limit" in str(error)


def found_after(account: Account, desired: Desired, batch: list[str], error: ApiError) -> list[Droplet]:
    """The droplets that a failed request created all the same."""
    found: dict[int, Droplet] = {}
    deadline = time.monotonic() + FIND_SECONDS
    if not is_unclear(error) and not is_limit(error):
        return []
    with contextlib.suppress(ApiError):
        while len({droplet["name"] for droplet in found.values()}) < len(batch) and time.monotonic() < deadline:
            account.progress.say("creating failed; looking for droplets that were created all the same")
            account.rest()
            found.update({one["id"]: one for one in members(desired, account.droplets()) if one["name"] in batch})
    return list(found.values())


def failed_creation_text(error: ApiError, lacking: list[str], before: list[str]) -> str:
    text = f"{error}. Not created: {', '.join(lacking)}"
    if before:
        text += f". Created, and kept: {', '.join(before)}"
    if is_limit(error):
        text += (
            ". The account may not have more droplets: remove some, lower count, or ask DigitalOcean for a higher "
            "limit. Then run this again; it carries on from here"
        )
    elif is_unclear(error):
        text += ". Droplets may have been created all the same: run this again in a minute; it looks for them first"
    return text


def wait_listed(account: Account, created: list[Droplet]) -> list[str]:
    """Wait until the API lists all of them: another run would create again what it can't see. Returns missing names."""
    ids = {droplet["id"]: droplet["name"] for droplet in created}
    deadline = time.monotonic() + LIST_SECONDS
    while True:
        listed = {droplet["id"] for droplet in account.droplets()}
        lacking = [name for number, name in ids.items() if number not in listed]
        if not lacking or time.monotonic() >= deadline:
            return lacking
        account.progress.say(f"waiting for the API's list to show {', '.join(lacking)}")
        account.rest()


def remove(account: Account, droplet: Droplet, deadline: float) -> None:
    name = droplet["name"]
    refused = 0
    while True:
        account.progress.say(f"removing {name}")
        try:
            account.client.delete(f"/droplets/{droplet['id']}")
            return
        except ApiError as error:
            refused += 1
            now = account.droplet(droplet["id"]) if error.status in (409, 422) else None
            pending = PENDING in str(error).lower()
            if not now or not (now["locked"] or pending):
                raise ApiError(f"{name} was not removed. {error}", error.status) from None
            # If it is no longer locked, what was under way has just ended
            if time.monotonic() >= deadline and (now["locked"] or refused > 1):
                raise PoolError(
                    f"{name} was not removed: it is locked, because something else is working on it ({error}). "
                    "Run this again when that is over."
                ) from None
        account.progress.say(f"waiting to remove {name}, which is locked: something else is working on it")
        account.rest()


def lack(droplet: Droplet, deadline: float, new: bool, public: bool) -> str | None:
    """What a droplet still lacks before it can be used.

    `new`: it was made just now, so its addresses may come one after the other. `public`: it is to have a public one.
    """
    if droplet["status"] != "active":
        return f"is {droplet['status']}, not active"
    address = droplet["public_ipv4"] or droplet["private_ipv4"]
    if not address:
        return "has no address"
    if new and public and not droplet["public_ipv4"]:
        return "has no public address yet"
    if not public:
        # There need be no way to it from this machine
        return None
    return ssh_lack(address, min(SSH_TIMEOUT, max(deadline - time.monotonic(), 1.0)))


def ssh_lack(address: str, timeout: float) -> str | None:
    where = f"at {address} port {SSH_PORT}"
    try:
        with socket.create_connection((address, SSH_PORT), timeout=timeout) as connection:
            received = b""
            # A server may send other lines first (RFC 4253, 4.2)
            while b"SSH-" not in received and len(received) < 4096:
                part = connection.recv(1024)
                if not part:
                    break
                received += part
    except OSError as error:
        return f"does not answer over SSH {where} ({error.strerror or error})"
    return None if b"SSH-" in received else f"sends no SSH banner {where}"


class Waiting:
    """Waits until every droplet can be used. `droplets` and `ready` (seconds, by id) are right at any time."""

    def __init__(
        self, account: Account, droplets: list[Droplet], created: list[Droplet], deadline: float, public: bool
    ) -> None:
        self.account = account
        self._public = public
        self.droplets = {droplet["id"]: droplet for droplet in droplets}
        self.ready: dict[int, float] = {}
        self._created = {droplet["id"] for droplet in created}
        self._unlisted = set(self._created)
        # Since when the API has not known a droplet, by id
        self._unknown: dict[int, float] = {}
        self._deadline = deadline
        self._list_deadline = time.monotonic() + LIST_SECONDS
        self._next_actions = time.monotonic() + ACTION_SECONDS

    def run(self) -> None:
        while lacks := self._look():
            waiting = "; ".join(
                f"{one['name']} {lacks[one['id']]}" for one in self.droplets.values() if one["id"] in lacks
            )
            if time.monotonic() >= self._deadline:
                raise PoolError(f"Not ready within wait_timeout: {waiting}. Run this again to keep waiting.")
            done = [self.droplets[number]["name"] for number in self.ready]
            self.account.progress.say(f"waiting: {waiting}" + (f"; ready: {', '.join(done)}" if done else ""))
            self.account.rest()

    def _look(self) -> dict[int, str]:
        """What each droplet that is not ready still lacks."""
        self._read()
        if text := down(self.droplets.values()):
            raise PoolError(text)
        if time.monotonic() >= self._next_actions:
            self._check_creations()
            self._next_actions = time.monotonic() + ACTION_SECONDS
        lacks = {number: "is not in the API's list yet" for number in self.droplets if number in self._unlisted}
        asked = [number for number in self.droplets if number not in lacks and number not in self.ready]
        with ThreadPoolExecutor(max_workers=SSH_WORKERS) as pool:
            answers = list(
                pool.map(
                    lambda number: lack(self.droplets[number], self._deadline, number in self._created, self._public),
                    asked,
                )
            )
        for number, what in zip(asked, answers, strict=True):
            if what:
                lacks[number] = what
            else:
                self.ready[number] = round(self.account.progress.seconds, 1)
        return lacks

    def _read(self) -> None:
        listed = {droplet["id"]: droplet for droplet in self.account.droplets()}
        self._unlisted -= set(listed)
        for number, known in self.droplets.items():
            if number in listed:
                self.droplets[number] = listed[number]
                self._unknown.pop(number, None)
            elif number not in self._unlisted or time.monotonic() >= self._list_deadline:
                now = self.account.droplet(number)
                if not now and number in self._created:
                    since = self._unknown.setdefault(number, time.monotonic())
                    if time.monotonic() < since + UNKNOWN_SECONDS:
                        continue
                if not now:
                    raise PoolError(
                        f"{known['name']} (id {number}) no longer exists: somebody removed it, or its creation failed. "
                        "Run this again to create a new one."
                    )
                self.droplets[number] = now

    def _check_creations(self) -> None:
        failed = [
            f"{droplet['name']} (id {droplet['id']}) was not created: the API says action {action} (create) errored"
            for droplet in self.droplets.values()
            if droplet["status"] == "new" and (action := self.account.failed_creation(droplet["id"])) is not None
        ]
        if failed:
            kept = [one["name"] for one in self.droplets.values() if one["status"] == "active"]
            raise PoolError(
                f"{', '.join(failed)}. Delete it and run this again to create a new one."
                + (f" Kept: {', '.join(kept)}." if kept else "")
            )


def wait_gone(account: Account, removed: list[Droplet], deadline: float) -> None:
    ids = {droplet["id"] for droplet in removed}
    while left := [droplet["name"] for droplet in account.droplets() if droplet["id"] in ids]:
        if time.monotonic() >= deadline:
            raise PoolError(
                f"The API accepted the removal, but still lists {', '.join(left)} after wait_timeout. Run this again "
                "in a minute."
            )
        account.progress.say(f"waiting for {', '.join(left)} to be gone")
        account.rest()


def waits(params: Params) -> bool:
    # A tag is there at once, and a droplet that is off may have it, too
    return bool(params["wait"]) and params["state"] != "adopted"


def apply(
    module: AnsibleModule, account: Account, desired: Desired, the_plan: Plan, template: Params, result: Result
) -> None:
    """Fills result as it goes, so that a failure halfway returns what was done."""
    params = module.params
    deadline = time.monotonic() + params["wait_timeout"]
    pool = {droplet["id"]: droplet for droplet in [*the_plan.keep, *the_plan.remove]}
    created: list[Droplet] = []
    added: dict[str, list[int]] = {}
    waiting = None
    try:
        for tag, ids in the_plan.add_tags.items():
            account.progress.say(f"tagging {', '.join(pool[one]['name'] for one in ids)}: {tag}")
            add_tags(account.client, tag, ids)
            added[tag] = ids
            tagged = {one for some in added.values() for one in some}
            result.update(changed=True, tagged=[one["name"] for one in the_plan.keep if one["id"] in tagged])
        for droplet in create(account, desired, the_plan.create, template):
            pool[droplet["id"]] = droplet
            created.append(droplet)
            result["created"].append(droplet["name"])
            result["changed"] = True
        for droplet in the_plan.remove:
            remove(account, droplet, deadline if params["wait"] else 0)
            del pool[droplet["id"]]
            result["removed"].append(droplet["name"])
            result["changed"] = True
        if waits(params):
            if the_plan.remove:
                wait_gone(account, the_plan.remove, deadline)
            waiting = Waiting(account, list(pool.values()), created, deadline, params["public_networking"])
            waiting.run()
    finally:
        ready = {}
        if waiting:
            pool, ready = waiting.droplets, waiting.ready
        result["droplets"] = show(members(desired, with_tags(added, pool.values())), ready)
        if created and len(ready) < len(pool):
            leave_listed(module, account, created)


def leave_listed(module: AnsibleModule, account: Account, created: list[Droplet]) -> None:
    try:
        lacking = wait_listed(account, created)
    except ApiError:
        lacking = [droplet["name"] for droplet in created]
    if lacking:
        module.warn(
            f"The API does not list {', '.join(lacking)} yet. Wait a minute before you run this again, or they could "
            "be created twice."
        )


def with_tags(added: dict[str, list[int]], droplets: t.Iterable[Droplet]) -> list[Droplet]:
    """The droplets with the added tags, whether they were read before or after the change."""
    return [
        {
            **droplet,
            "tags": droplet["tags"]
            + [tag for tag, ids in added.items() if droplet["id"] in ids and not has_tag(droplet, tag)],
        }
        for droplet in droplets
    ]


def show(droplets: list[Droplet], ready: t.Mapping[int, float]) -> list[Droplet]:
    return [
        {
            **{field: droplet[field] for field in RETURNED},
            "image": droplet["image"] and str(droplet["image"]),
            "ready_after": ready.get(droplet["id"]),
        }
        for droplet in droplets
    ]


def diff(desired: Desired, the_plan: Plan, params: Params) -> dict[str, Params]:
    fields = ("size", "region", "image", "tags")
    new = {"size": params["size"], "region": params["region"], "image": params["image"], "tags": desired.all_tags}
    names = [droplet["name"] for droplet in [*the_plan.keep, *the_plan.remove]]

    def key(droplet: Droplet) -> str:
        return f"{droplet['name']} (id {droplet['id']})" if names.count(droplet["name"]) > 1 else droplet["name"]

    before = {key(droplet): droplet for droplet in [*the_plan.keep, *the_plan.remove]}
    after = {key(droplet): droplet for droplet in with_tags(the_plan.add_tags, the_plan.keep)}
    after.update(dict.fromkeys(the_plan.create, new))
    return {
        side: {name: {field: droplets[name][field] for field in fields} for name in sorted(droplets)}
        for side, droplets in (("before", before), ("after", after))
    }


def report(module: AnsibleModule, desired: Desired, the_plan: Plan, result: Result) -> None:
    """Report what is wrong with the existing droplets, before anything is changed."""
    params = module.params
    for warning in the_plan.warnings:
        module.warn(warning)
    result["drift"] = the_plan.drift
    texts = drift_texts(desired, the_plan.drift)
    if texts and params["on_drift"] == "fail":
        raise PoolError(f"{'. '.join(texts)}. Nothing was changed, because on_drift is fail.")
    for text in texts:
        module.warn(
            f"{text}. The option applies to new droplets only: remove a droplet and run this again to replace it."
        )
    if params["state"] != "adopted" and (is_down := down(the_plan.keep)):
        if params["wait"]:
            raise PoolError(f"{is_down} Nothing was changed.")
        module.warn(is_down)


def run(module: AnsibleModule, result: Result) -> None:
    params = module.params
    desired = desired_pool(params)
    progress = Progress(os.environ.get(PROGRESS_VARIABLE))
    client = Client(
        token=params["api_token"] or "",
        url=params["api_url"],
        timeout=params["timeout"],
        retries=params["retries"],
        max_wait=max(MAX_RATE_LIMIT_WAIT, params["wait_timeout"]),
        validate_certs=params["validate_certs"],
        sleep=progress.pause,
    )
    account = Account(client, progress, module.warn, desired.own_tag)
    existing = account.first_look()
    result["droplets"] = show(members(desired, existing), {})
    if params["state"] == "adopted":
        the_plan = adoption(desired, existing)
    else:
        the_plan = plan(desired, existing, params["max_removals"] if params["state"] == "present" else None)
    report(module, desired, the_plan, result)
    template = template_of_new(client, desired, params) if the_plan.create else {}
    planned = diff(desired, the_plan, params)
    if module.check_mode:
        result.update(
            changed=the_plan.changed,
            created=the_plan.create,
            removed=[droplet["name"] for droplet in the_plan.remove],
            tagged=the_plan.tagged,
            droplets=show(with_tags(the_plan.add_tags, the_plan.keep), {}),
        )
    else:
        apply(module, account, desired, the_plan, template, result)
    if module._diff:
        result["diff"] = planned


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "service": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "count": {"type": "int"},
            "state": {"type": "str", "choices": ["present", "absent", "adopted"], "default": "present"},
            "size": {"type": "str"},
            "region": {"type": "str"},
            "image": {"type": "str", "default": "debian-13-x64"},
            "vpc_uuid": {"type": "str"},
            "ssh_keys": {"type": "list", "elements": "str", "no_log": False},
            "tags": {"type": "list", "elements": "str", "default": []},
            "user_data": {"type": "str", "no_log": True},
            "monitoring": {"type": "bool", "default": False},
            "ipv6": {"type": "bool", "default": False},
            "backups": {"type": "bool", "default": False},
            "public_networking": {"type": "bool", "default": True},
            "on_drift": {"type": "str", "choices": ["report", "fail"], "default": "report"},
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
    result: Result = {"changed": False, "droplets": [], "created": [], "removed": [], "tagged": [], "drift": []}
    try:
        run(module, result)
    except (ApiError, PoolError) as error:
        module.fail_json(msg=str(error), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
