# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: droplets
short_description: DigitalOcean droplets as hosts
version_added: 0.1.0
author:
  - alphacoder (@alphacoder)
description:
  - Every droplet that passes the options becomes a host. The droplet's name is the host's name, and its tags are the
    host's groups.
  - Pages of the API are fetched at the same time, and groups and addresses need no templates, so that thousands of
    droplets take seconds.
  - The name of the inventory file must end in C(droplets.yml), C(droplets.yaml), C(digitalocean.yml) or
    C(digitalocean.yaml).
  - If two droplets share a name, the older one (with the lower id) becomes the host of that name, and the other one is
    called C(<name>-<id>).
  - With O(service), the inventory is that of one service, and all hosts, C(localhost) included, have its name as
    C(scaleout_service). The playbooks of this collection ask for that.
  - An API that can't be read is an error, never an empty inventory. With C(any_unparsed_is_failed) in the section
    C([inventory]) of Ansible's configuration, the run ends with one line that says what is wrong. Without it, Ansible
    turns the error into a warning and goes on.
  - In the API, a droplet's own public address and its reserved one look alike. If a droplet has two public addresses,
    the plugin also asks for the account's reserved IPs, once.
seealso:
  - module: alphacoder.scaleout.droplet_pool
requirements:
  - ansible-core and Python 3.11 or later, nothing else.
notes:
  - Droplets with GPUs are not listed, because the API leaves them out.
extends_documentation_fragment:
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
options:
  plugin:
    description: Marks the file as one for this plugin.
    type: str
    required: true
    choices:
      - alphacoder.scaleout.droplets
  api_token:
    description:
      - The DigitalOcean API token. It needs the scope C(droplet:read); C(tag:read) for O(service), O(tag) and groups of
        tags, which are the default; C(reserved_ip:read) if droplets have reserved IPs; C(image:read) for C(do_image);
        and C(vpc:read) for C(do_vpc_uuid) and O(vpcs).
      - May be a template, so that it can come from a vault, a lookup or an extra variable.
      - Of the environment variables, E(DIGITALOCEAN_TOKEN) takes precedence over E(DIGITALOCEAN_ACCESS_TOKEN), which
        takes precedence over E(DO_API_TOKEN).
    type: str
    env:
      # The last one that is set is taken
      - name: DO_API_TOKEN
      - name: DIGITALOCEAN_ACCESS_TOKEN
      - name: DIGITALOCEAN_TOKEN
  api_url:
    description:
      - The URL of the API. Plain C(http) is refused, except to this machine itself.
      - May be a template.
    type: str
    default: https://api.digitalocean.com/v2
    env:
      - name: DIGITALOCEAN_API_URL
  service:
    description:
      - Only droplets of this service, such as V(shop-staging), which are those with the tag C(service:shop-staging).
        The API selects them, and the plugin looks again.
      - It may hold lower-case letters, digits and hyphens, at most 63.
      - All hosts get the variables C(scaleout_service) and C(scaleout_inventory_service) with this name, even if there
        is no droplet yet. The playbooks work on the service of C(scaleout_service), and end if it is not that of the
        inventory.
      - An inventory is of one service. Two files for two services in one run are an error, because their hosts have the
        same names.
      - May be a template.
    type: str
  tag:
    description:
      - Only droplets with this tag. The API selects them, so that a large account costs no time; the plugin does if
        O(service) is set as well.
      - May be a template.
    type: str
  name:
    description:
      - Only droplets with exactly this name, ignoring case. The API selects them, unless O(service) or O(tag) is set as
        well.
      - May be a template.
    type: str
  regions:
    description: Only droplets in one of these regions, such as V(fra1).
    type: list
    elements: str
    default: []
  statuses:
    description:
      - Only droplets in one of these states. An empty list allows all states.
      - A droplet that is V(off) keeps its tags and addresses, so it is left out unless you ask for it.
    type: list
    elements: str
    choices: [new, active, 'off', archive]
    default: [active]
  vpcs:
    description: Only droplets in one of these VPC networks, by UUID.
    type: list
    elements: str
    default: []
  filters:
    description:
      - Jinja expressions on the hostvars that the examples list. A droplet becomes a host if all of them are true.
      - They are evaluated for each droplet. O(tag), O(name), O(regions), O(statuses) and O(vpcs) are faster, where
        they suffice.
      - An expression that fails is an error, whatever O(strict) says, because it would hide droplets.
    type: list
    elements: str
    default: []
  connect_with:
    description:
      - Which of a droplet's addresses becomes C(ansible_host). V(name) is the droplet's name, for droplets that are in
        your DNS.
      - V(public_ipv4) is the droplet's own address, even if it also has a reserved one.
      - A droplet without the wanted address stays a host without C(ansible_host), and the plugin warns about it, unless
        O(compose) sets C(ansible_host).
    type: str
    choices: [public_ipv4, private_ipv4, public_ipv6, name]
    default: public_ipv4
  hostvars_prefix:
    description: Prefix of each hostvar's name.
    type: str
    default: do_
  attributes:
    description:
      - More fields of the API's droplet to have as hostvars, unchanged, such as V(features) or V(vcpus).
      - A field that a droplet does not have is V(none).
    type: list
    elements: str
    default: []
  group_by:
    description:
      - What to make groups of. V(tag) makes a group of each tag; the tag C(pool:app) becomes the group C(pool_app), and
        C(service:shop-staging) becomes C(service_shop_staging).
      - Characters that a group name can't have become underscores.
    type: list
    elements: str
    choices: [tag, region, size, image, vpc, status]
    default: [tag, region]
  group_prefix:
    description: Prefix of the name of each group that O(group_by) makes.
    type: str
    default: ''
  timeout:
    description: How many seconds to wait for the API's answer to a request, at least 1.
    type: int
    default: 30
  retries:
    description:
      - How often to repeat a request when the API asks to come back later, or the server or the connection fails. The
        pauses grow from half a second to 8 seconds; the API itself may ask for up to 60 seconds.
    type: int
    default: 4
  validate_certs:
    description:
      - Whether this machine must trust the API's certificate.
      - For your own certificate authority, set the environment variable E(SSL_CERT_FILE) to its file.
    type: bool
    default: true
  page_size:
    description: How many droplets to request per page, 1 to 200.
    type: int
    default: 200
  workers:
    description:
      - How many pages to request at the same time, once the first page has said how many there are.
      - There are never more requests at a time than the token has left, according to the API.
    type: int
    default: 10
"""

EXAMPLES = r"""
# The token is in the environment: export DIGITALOCEAN_TOKEN=...

# inventory/digitalocean.yml: all droplets of the service shop-staging, and a group for each of their tags
plugin: alphacoder.scaleout.droplets
service: shop-staging

---
# All droplets with the tag web, whoever made them
plugin: alphacoder.scaleout.droplets
tag: web

---
# Over the private network, from a host in the same VPC network
plugin: alphacoder.scaleout.droplets
service: shop-staging
connect_with: private_ipv4
vpcs:
  - 5a4981aa-9653-4bd1-bef5-d6bff52042e4

---
# Over the private network, from outside: each connection jumps through a bastion
plugin: alphacoder.scaleout.droplets
service: shop-staging
connect_with: private_ipv4
compose:
  ansible_ssh_common_args: "'-o ProxyJump=root@bastion.example.com'"

---
# The reserved IP if there is one, and the private address for traffic between hosts
plugin: alphacoder.scaleout.droplets
compose:
  ansible_host: do_reserved_ipv4 or do_public_ipv4
  private_address: do_private_ipv4

---
# Two regions, and groups such as do_fra1 and do_s_1vcpu_1gb, without a template for each host
plugin: alphacoder.scaleout.droplets
regions: [fra1, ams3]
group_by: [region, size]
group_prefix: do_

---
# A different prefix for each kind of group, and the API's answer cached for ten minutes
plugin: alphacoder.scaleout.droplets
group_by: []
keyed_groups:
  - key: do_region
    prefix: region
  - key: do_size
    prefix: size
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.cache/ansible/droplets
cache_timeout: 600

---
# The token from a vault file, filters, and your own hostvars
plugin: alphacoder.scaleout.droplets
api_token: "{{ lookup('ansible.builtin.file', 'token.vault') }}"
filters:
  - "'production' in do_tags"
  - do_name is not match('build-')
attributes: [vcpus, memory]
compose:
  worker_processes: do_vcpus * 2

---
# Droplets that are off, to start them
plugin: alphacoder.scaleout.droplets
statuses: ['off']

# Hostvars, with the default hostvars_prefix. An address is none if the droplet has no such address:
#
# do_id               3164494
# do_name             app-1
# do_status           active
# do_region           fra1
# do_size             s-1vcpu-1gb
# do_image            debian-13-x64, or the id of an image without a slug
# do_tags             ["service:shop-staging", "pool:app", app]
# do_vpc_uuid         5a4981aa-9653-4bd1-bef5-d6bff52042e4
# do_public_ipv4      203.0.113.10
# do_private_ipv4     10.114.0.2
# do_public_ipv6      2001:db8::10
# do_reserved_ipv4    203.0.113.99
# do_created_at       2026-07-21T16:38:02Z
"""

import base64
import difflib
import hashlib
import json
import re
import time
import typing as t
import zlib
from pathlib import Path

import yaml
from ansible import constants
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible.utils.vars import combine_vars
from ansible_collections.alphacoder.scaleout.plugins.module_utils._digitalocean import (
    MAX_PAGE_SIZE,
    TAG_SCOPE,
    ApiError,
    Client,
    droplet_facts,
    public_ipv4s,
    reserved_ipv4s,
)
from ansible_collections.alphacoder.scaleout.plugins.module_utils._pool import (
    ADOPT,
    has_tag,
    in_several_services,
    service_problem,
    service_tag,
    services_of,
)

if t.TYPE_CHECKING:
    from ansible.inventory.host import Host
    from ansible.parsing.dataloader import DataLoader

Item = dict[str, t.Any]

# Names with a meaning of their own to Ansible, which a droplet may have
TAKEN = ("all", "ungrouped", *constants.LOCALHOST)

# Fields that the API shows only to a token with a certain scope, and which options need them
SCOPES = {
    "tags": (TAG_SCOPE, {"service", "tag"}, "tag"),
    "vpc_uuid": ("vpc:read", {"vpcs"}, "vpc"),
    "image": ("image:read", set(), "image"),
}

# How many names a warning lists
SHOWN = 10

# What all droplets of playbooks/provision.yml had before they had a service
OLD_TAG = "scaleout"

_FILE_NAMES = ("droplets.yml", "droplets.yaml", "digitalocean.yml", "digitalocean.yaml")


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):  # type: ignore[misc]
    NAME = "alphacoder.scaleout.droplets"
    inventory: InventoryData

    def __init__(self) -> None:
        super().__init__()
        # Hostvars of the host that is being set up
        self._own: Item = {}

    def verify_file(self, path: str) -> bool:
        return bool(super().verify_file(path)) and path.endswith(_FILE_NAMES)

    def set_options(self, task_keys: t.Any = None, var_options: t.Any = None, direct: t.Any = None) -> None:
        if isinstance(direct, dict):
            if isinstance(direct.get("api_token"), (list, dict)):
                # Ansible's own message would show the token
                raise AnsibleParserError("api_token is a list or a dictionary, but it must be text.")
            statuses = direct.get("statuses")
            # To YAML, off without quotes is false
            if statuses is False:
                direct = {**direct, "statuses": ["off"]}
            elif isinstance(statuses, list):
                direct = {**direct, "statuses": ["off" if one is False else one for one in statuses]}
        super().set_options(task_keys=task_keys, var_options=var_options, direct=direct)

    def parse(self, inventory: InventoryData, loader: DataLoader, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        try:
            self._parse(path, cache)
        except (ApiError, AnsibleError) as error:
            # Ansible's own message may show the lines that are not YAML, and so the token
            text = " ".join((_not_yaml(path) or str(error)).split())
            # A file that belongs to another plugin in spite of its name is left to that plugin
            if constants.INVENTORY_ANY_UNPARSED_IS_FAILED and self._is_named_in(path):
                # Ansible would end the run, too, but only after complaints of every other plugin that reads YAML files,
                # and with a last line that doesn't say what is wrong
                self.display.error(f"{path}: {text}", wrap_text=False)
                raise SystemExit(1) from None
            raise AnsibleParserError(text) from None

    def _is_named_in(self, path: str) -> bool:
        try:
            config = self.loader.load_from_file(path)
        except AnsibleError:
            return self.NAME in Path(path).read_text()
        return isinstance(config, dict) and config.get("plugin") == self.NAME

    def _parse(self, path: str, may_use_cache: bool) -> None:
        config = self._read_config_data(path)
        for option in config:
            # Ansible doesn't mind, but a misspelt filter lets every droplet through
            if not self.has_option(option):
                close = difflib.get_close_matches(option, self.option_definitions, n=1)
                raise AnsibleParserError(
                    f"There is no option {option}" + (f"; did you mean {close[0]}?" if close else ".")
                )
        # Without its value, it would let every droplet of the account through
        if "service" in config:
            self._set_service()
        answer = self._read(path, may_use_cache)
        self._check_fields(answer["droplets"])
        hosts = self._host_names(self._filter(answer))
        if not hosts:
            self._say_nothing_found(answer.get("unclaimed", []))
        # Before there are groups, because Ansible would give a group of the same name the variables of a new host
        for name in hosts:
            self.inventory.add_host(name)
        for name, (droplet, hostvars) in hosts.items():
            self._set_up(name, droplet, hostvars)
        self._warn_unreachable(hosts)

    def _set_service(self) -> None:
        service = self._text("service")
        if problem := service_problem(service):
            raise AnsibleParserError(f"The option service {problem}.")
        variables = self.inventory.groups["all"].vars
        other = variables.get("scaleout_inventory_service", service)
        if other != service:
            raise AnsibleParserError(
                f"This is the inventory of service {service}, but another file of this run is that of {other}, whose "
                "hosts have the same names. Give one of them with -i; for a list of all, write an inventory with tag, "
                "or with neither."
            )
        # The second one is what a playbook compares with: group_vars may set the first
        for variable in ("scaleout_service", "scaleout_inventory_service"):
            self.inventory.set_variable("all", variable, service)

    def _check_fields(self, droplets: list[Item]) -> None:
        """Whether the API shows the fields that the options need: without its scope, a field is left out or empty."""
        for field, (scope, options, kind) in SCOPES.items():
            if not droplets or any(raw.get(field) for raw in droplets):
                continue
            needed = f"The API shows the {field} of no droplet, which {{}} needs: give the token the scope {scope}."
            # Nothing would be let through
            if narrowing := sorted(option for option in options if self.get_option(option)):
                raise AnsibleParserError(needed.format(f"the option {narrowing[0]}"))
            # None of them need have a tag
            if kind in self.get_option("group_by") and (kind != "tag" or not any("tags" in raw for raw in droplets)):
                self.display.warning(needed.format(f"group_by {kind}"))

    def _read(self, path: str, may_use_cache: bool) -> Item:
        """The API's raw answer, so that options that use it can change while it is cached."""
        client = self._client()
        filters = self._api_filters()
        if not self.get_option("cache"):
            return self._fetch(client, filters)
        key = self.get_cache_key(path) + "_" + _digest(client.url, client.token, *sorted(filters.items()))
        if may_use_cache and (cached := self._cached(key)):
            return cached
        answer = self._fetch(client, filters)
        self._cache[key] = {"answer": _packed(answer)}
        return answer

    def _cached(self, key: str) -> Item | None:
        try:
            answer = _unpacked(self._cache[key]["answer"])
        except (KeyError, TypeError, ValueError, zlib.error):
            # Not cached, or by another version of this plugin
            return None
        except AnsibleError as error:
            self.display.warning(f"The cache can't be read, so the API is asked: {' '.join(str(error).split())}")
            return None
        self.display.vv(f"{len(answer['droplets'])} droplets are in the cache")
        return answer

    def _client(self) -> Client:
        for option, least in (("page_size", 1), ("workers", 1), ("timeout", 1), ("retries", 0)):
            if self.get_option(option) < least:
                raise AnsibleParserError(f"{option} is {self.get_option(option)}, but it must be at least {least}.")
        if self.get_option("page_size") > MAX_PAGE_SIZE:
            raise AnsibleParserError(
                f"page_size is {self.get_option('page_size')}, but the API allows 1 to {MAX_PAGE_SIZE}."
            )
        return Client(
            token=self._text("api_token"),
            url=self._text("api_url"),
            timeout=self.get_option("timeout"),
            retries=self.get_option("retries"),
            validate_certs=self.get_option("validate_certs"),
        )

    def _text(self, option: str) -> str:
        self.templar.available_variables = self._vars
        try:
            value = self.templar.template(self.get_option(option))
        except AnsibleError as error:
            # Which may hold the token itself, where the message repeats it
            text = str(error.message).replace(str(self.get_option(option)), "***")
            raise AnsibleParserError(f"The option {option} is a template that fails: {text}") from None
        return "" if value is None else str(value).strip()

    def _api_filters(self) -> dict[str, str]:
        # The API accepts one of them only
        if service := self._text("service"):
            return {"tag_name": service_tag(service)}
        for option, parameter in (("tag", "tag_name"), ("name", "name")):
            if self._text(option):
                return {parameter: self._text(option)}
        return {}

    def _fetch(self, client: Client, filters: dict[str, str]) -> Item:
        start = time.monotonic()
        droplets = self._list(client, filters)
        self.display.vv(f"{len(droplets)} droplets came from {client.url} in {time.monotonic() - start:.1f} s")
        # Only the list of reserved addresses tells which of two public addresses is the droplet's own
        two = any(len(public_ipv4s(droplet)) > 1 for droplet in droplets)
        service = self._text("service")
        own = [raw for raw in droplets if service in services_of(raw.get("tags") or [])]
        # A service's first run, or its first one since there are services
        old = self._list(client, {"tag_name": OLD_TAG}) if service and not own else []
        return {
            "droplets": droplets,
            "reserved_ipv4": reserved_ipv4s(client, self.display.warning) if two else [],
            "unclaimed": [one["name"] for one in map(droplet_facts, old) if _is_unclaimed(one)],
        }

    def _list(self, client: Client, filters: dict[str, str]) -> list[Item]:
        page_size, workers = self.get_option("page_size"), self.get_option("workers")
        return client.list_all("/droplets", "droplets", filters, page_size=page_size, workers=workers)

    def _filter(self, answer: Item) -> list[tuple[Item, Item]]:
        reserved = frozenset(answer["reserved_ipv4"])
        name, tag, service = self._text("name").casefold(), self._text("tag"), self._text("service")
        allowed = [
            (field, self.get_option(option))
            for field, option in (("region", "regions"), ("status", "statuses"), ("vpc_uuid", "vpcs"))
            if self.get_option(option)
        ]
        filters = self.get_option("filters")
        kept = []
        for raw in answer["droplets"]:
            droplet = droplet_facts(raw, reserved)
            if name and droplet["name"].casefold() != name:
                continue
            # A list that the API did not narrow would be every droplet of the account
            if tag and not has_tag(droplet, tag):
                continue
            if service and service not in (services := services_of(droplet["tags"])):
                continue
            if service and len(services) > 1:
                raise AnsibleParserError(f"{in_several_services(droplet['name'], droplet['id'], services)}.")
            if any(droplet[field] not in values for field, values in allowed):
                continue
            hostvars = self._hostvars(raw, droplet, reserved)
            if all(self._is_true(expression, hostvars, droplet["name"]) for expression in filters):
                kept.append((droplet, hostvars))
        return kept

    def _hostvars(self, raw: Item, droplet: Item, reserved: t.Container[str]) -> Item:
        also = {field: raw.get(field) for field in self.get_option("attributes")}
        also["reserved_ipv4"] = next((address for address in public_ipv4s(raw) if address in reserved), None)
        prefix = self.get_option("hostvars_prefix")
        return {f"{prefix}{field}": value for field, value in {**also, **droplet}.items()}

    def _is_true(self, expression: str, hostvars: Item, name: str) -> bool:
        try:
            result = self._compose(expression, hostvars)
        except Exception as error:
            text = " ".join(str(error).split())
            raise AnsibleParserError(f"The filter {expression!r} fails for droplet {name}: {text}") from None
        return bool(boolean(result, strict=False)) if isinstance(result, str) else bool(result)

    def _host_names(self, droplets: list[tuple[Item, Item]]) -> dict[str, tuple[Item, Item]]:
        """A host name for each droplet, the same ones every time, in the order that people expect."""
        by_name: dict[str, list[tuple[Item, Item]]] = {}
        for entry in sorted(droplets, key=lambda entry: entry[0]["id"]):
            name = entry[0]["name"]
            if name in TAKEN:
                host = f"{name}-{entry[0]['id']}"
                self.display.warning(
                    f"A droplet is called {name}, which means something else to Ansible: its host is {host}."
                )
                name = host
            by_name.setdefault(name, []).append(entry)
        hosts = {name: entries[0] for name, entries in by_name.items()}
        shared = []
        for name, entries in by_name.items():
            others = []
            for entry in entries[1:]:
                other = f"{name}-{entry[0]['id']}"
                while other in hosts:
                    other += f"-{entry[0]['id']}"
                hosts[other] = entry
                others.append(other)
            if others:
                shared.append(
                    f"{len(entries)} droplets are called {name}: host {name} is the one with id {entries[0][0]['id']}; "
                    f"the others are {_some(others)}."
                )
        for warning in shared[:SHOWN]:
            self.display.warning(warning)
        if shared[SHOWN:]:
            self.display.warning(f"{len(shared) - SHOWN} more names are shared by several droplets.")
        return dict(sorted(hosts.items(), key=lambda host: _natural(host[0])))

    def _set_up(self, name: str, droplet: Item, hostvars: Item) -> None:
        # The object, not its name, which could also be a group's
        host = self.inventory.hosts[name]
        address = droplet[self.get_option("connect_with")]
        if address:
            hostvars = {**hostvars, "ansible_host": address}
        for variable, value in hostvars.items():
            host.set_variable(variable, value)
        for group in self._groups(droplet):
            self.inventory.groups[self.inventory.add_group(group)].add_host(host)
        self._construct(host, hostvars)

    def _construct(self, host: Host, hostvars: Item) -> None:
        """Apply Ansible's own options, such as compose, to a host."""
        compose, groups, keyed_groups = (self.get_option(o) for o in ("compose", "groups", "keyed_groups"))
        strict = self.get_option("strict")
        self._own = hostvars
        for variable, expression in compose.items():
            try:
                value = self._compose(expression, hostvars)
            except Exception as error:
                if strict:
                    text = " ".join(str(error).split())
                    raise AnsibleParserError(f"{variable} of host {host.name} can't be composed: {text}") from None
            else:
                host.set_variable(variable, value)
        if groups:
            variables = combine_vars(hostvars, host.get_vars())
            inventory, self.inventory = self.inventory, InventoryData()
            try:
                # In a separate inventory, under a name that no group has
                alias = self.inventory.add_host(f"droplet {host.name}")
                self._add_host_to_composed_groups(groups, variables, alias, strict=strict, fetch_hostvars=False)
                found = self.inventory.hosts[alias].groups
            finally:
                self.inventory = inventory
            for group in found:
                self.inventory.groups[self.inventory.add_group(group.name)].add_host(host)
        if keyed_groups:
            self._add_host_to_keyed_groups(keyed_groups, hostvars, host.name, strict=strict)

    def _compose(self, template: t.Any, variables: Item, *more: t.Any) -> t.Any:
        # Most keyed_groups name a hostvar, which needs no template engine. What the engine makes of other types
        # depends on Ansible's version
        if isinstance(template, str) and template in self._own and not self.get_option("use_extra_vars"):
            value = self._own[template]
            if isinstance(value, str | list) and variables.get(template) is value:
                return value
        return super()._compose(template, variables, *more)

    def _groups(self, droplet: Item) -> t.Iterator[str]:
        prefix = self.get_option("group_prefix")
        for kind in self.get_option("group_by"):
            field = {"tag": "tags", "vpc": "vpc_uuid"}.get(kind, kind)
            values = droplet[field] if kind == "tag" else [droplet[field]]
            for value in values:
                if value is not None:
                    yield self._sanitize_group_name(f"{prefix}{value}")

    def _warn_unreachable(self, hosts: dict[str, tuple[Item, Item]]) -> None:
        wanted = self.get_option("connect_with")
        without = [name for name, (droplet, _hostvars) in hosts.items() if not droplet[wanted]]
        if without and "ansible_host" not in self.get_option("compose"):
            self.display.warning(
                f"These hosts get no ansible_host, because they have no {wanted}: {_some(without)}. Set connect_with "
                "to an address that they have, or set ansible_host with compose."
            )

    def _say_nothing_found(self, unclaimed: list[str]) -> None:
        self.display.warning(self._nothing_found())
        if unclaimed:
            # For a playbook that ends because there are no hosts
            self.inventory.set_variable("all", "scaleout_unclaimed", unclaimed)
            self.display.warning(
                "These droplets are of no service, because they were made before there were services: "
                f"{_some(unclaimed)}. {ADOPT}."
            )

    def _nothing_found(self) -> str:
        statuses, tag, service = self.get_option("statuses"), self._text("tag"), self._text("service")
        state = f"{' or '.join(statuses)} " if statuses else ""
        wanted = (f" of service {service!r}" if service else "") + (f" with tag {tag!r}" if tag else "")
        narrowed = [option for option in ("name", "regions", "vpcs", "filters") if self.get_option(option)]
        also = f" that matches {', '.join(narrowed)}" if narrowed else ""
        return (
            f"There is no {state}droplet{wanted}{also}: create some with playbooks/provision.yml, "
            "or correct the options of this inventory"
            + (" (a tag keeps the capitals of its first use)." if wanted else ".")
        )


def _is_unclaimed(droplet: Item) -> bool:
    """Whether it was a host of every inventory before there were services, and is of none."""
    return has_tag(droplet, OLD_TAG) and not services_of(droplet["tags"])


def _not_yaml(path: str) -> str | None:
    """Why a file is not YAML, or None."""
    try:
        yaml.compose(Path(path).read_text(), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        return f"line {line} is not valid YAML: {error.problem}"
    except (OSError, ValueError, yaml.YAMLError) as error:
        return f"this can't be read as YAML: {error}"
    return None


def _packed(answer: Item) -> str:
    # Ansible walks through everything that goes into its cache and comes out again, so it gets one short string. With
    # 10,000 droplets that saves a second and a half, and makes the file 1 MB instead of 24
    return base64.b64encode(zlib.compress(json.dumps(answer).encode(), 1)).decode()


def _unpacked(text: str) -> Item:
    return t.cast(Item, json.loads(zlib.decompress(base64.b64decode(text))))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if names[SHOWN:] else ""
    return ", ".join(names[:SHOWN]) + more


def _digest(*parts: t.Any) -> str:
    # The token is part of it, because another account has other droplets. A hash doesn't give away 256 random bits
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _natural(name: str) -> list[tuple[int, int, str]]:
    """app-2 before app-10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"([0-9]+)", name)]
