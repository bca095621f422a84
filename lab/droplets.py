# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Droplets: what clients may order, what became of their orders, and the work that goes on after a 202.

The rules are from DigitalOcean's API specification, except where its users have seen something else.
"""

from __future__ import annotations

import io
import logging
import re
import tarfile
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Network
from typing import Any

from lab import catalog, images
from lab.engine import Container, Engine
from lab.errors import ApiError, LabError, invalid, not_found
from lab.records import Records, tag_key, tagging_key
from lab.state import Lab
from lab.traps import Traps, pending_event

log = logging.getLogger("lab")

HOSTNAME = re.compile(r"[a-zA-Z0-9]?[a-z0-9A-Z.\-]*[a-z0-9A-Z]")
TAG = re.compile(r"[a-zA-Z0-9_\-:]{1,255}")
MAX_USER_DATA = 64 * 1024
# What an order may ask for that a droplet's entry shows
FEATURES = ("monitoring", "ipv6", "backups")
EPOCH = datetime(2025, 1, 1, tzinfo=UTC).timestamp()


@dataclass(frozen=True)
class Settings:
    """The service's settings, each from the environment variable LAB_ and its name in capitals. Lags are in seconds."""

    list_lag: float = 0.7
    address_lag: float = 0.7
    droplet_limit: int = 25
    rate_per_hour: int = 5000
    rate_per_minute: int = 250
    key_lists_per_minute: int = 10

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        values: dict[str, Any] = {}
        for name, default in vars(cls()).items():
            text = environment.get(f"LAB_{name.upper()}")
            if text is None:
                continue
            try:
                values[name] = type(default)(text)
            except ValueError:
                raise LabError(f"LAB_{name.upper()} is '{text}': it must be a number") from None
        return cls(**values)


@dataclass(frozen=True)
class View:
    """The engine's state at one moment; every reply is made from one."""

    now: float
    records: dict[str, list[dict[str, Any]]]
    containers: dict[int, Container]

    def droplet(self, droplet_id: int) -> dict[str, Any]:
        for order in self.records["droplet"]:
            if order["id"] == droplet_id:
                return order
        raise not_found()

    def status(self, order: dict[str, Any]) -> str:
        container = self.containers.get(order["id"])
        if container is None or container.state == "created":
            return "new"
        return "active" if container.state in ("running", "restarting", "paused") else "off"

    def tags(self, droplet_id: int) -> list[str]:
        held = {tagging["tag"] for tagging in self.records["tagging"] if tagging["droplet"] == droplet_id}
        return [tag["name"] for tag in self.records["tag"] if tag_key(tag["name"]) in held]

    def tagged(self, tag: str, *, any_case: bool = False) -> list[dict[str, Any]]:
        key = tag_key if any_case else str
        return [order for order in self.records["droplet"] if key(tag) in map(key, self.tags(order["id"]))]


class Droplets:
    """The droplets of one lab. `work` runs what a reply doesn't wait for; tests use a plain call."""

    def __init__(
        self,
        lab: Lab,
        engine: Engine,
        settings: Settings,
        clock: Callable[[], float] = time.time,
        work: Callable[..., object] | None = None,
    ) -> None:
        self.lab = lab
        self.settings = settings
        self.traps = Traps({"list_lag": settings.list_lag, "address_lag": settings.address_lag})
        self.records = Records(engine, lab.name)
        self.clock = clock
        self._engine = engine
        self._work = work or ThreadPoolExecutor(max_workers=4, thread_name_prefix="work").submit
        self._orders = threading.Lock()
        self._addresses = threading.Lock()
        self._actions: dict[int, dict[str, Any]] = {}
        self._last_id = 0

    def view(self) -> View:
        # Containers first, so that a droplet deleted between the two is gone, and not new again
        containers = {int(item.data["id"]): item for item in self._engine.containers(self.lab.name)}
        return View(self.clock(), self.records.read(), containers)

    def next_id(self) -> int:
        """A number that is never used twice: tenths of a second since 2025, or one more than the last."""
        with self._orders:
            self._last_id = max(self._last_id + 1, int((self.clock() - EPOCH) * 10))
            return self._last_id

    # What a client sees

    def listed(self, view: View) -> list[dict[str, Any]]:
        """Orders that are old enough to be listed: a new droplet is missing from lists for a moment (api-v2#202)."""
        return [o for o in view.records["droplet"] if view.now >= o["ordered_at"] + self.traps["list_lag"]]

    def tagged(self, view: View, tag: str) -> list[dict[str, Any]]:
        return view.tagged(tag, any_case=self.traps["tag_case"] == "loose")

    def locked(self, view: View, order: dict[str, Any]) -> bool:
        """Whether an action is under way, so that no other can start."""
        pending = [a for a in self.actions_of(order) if a["status"] == "in-progress" and a["type"] != "create"]
        return bool(pending) or order["name"] in self.traps["locked"] or view.status(order) == "new"

    def show(self, view: View, order: dict[str, Any]) -> dict[str, Any]:
        status = next((name for name in ("off", "archive") if order["name"] in self.traps[name]), view.status(order))
        size = catalog.size(order["size"])
        return {
            "id": order["id"], "name": order["name"],
            "memory": size["memory"], "vcpus": size["vcpus"], "disk": size["disk"],
            "locked": self.locked(view, order), "status": status, "kernel": None,
            "created_at": timestamp(order["ordered_at"]),
            "features": [name for name in FEATURES if order.get(name)],
            "backup_ids": [], "next_backup_window": None, "snapshot_ids": [], "volume_ids": [],
            "image": catalog.image(order["image"]), "size": size, "size_slug": order["size"],
            "networks": self._networks(view, order), "region": catalog.region(order["region"]),
            "tags": view.tags(order["id"]), "vpc_uuid": catalog.vpc_id(order["region"]),
        }  # fmt: skip

    def _networks(self, view: View, order: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
        """Empty for a while after the first start. The private entry comes first, unless a trap says otherwise."""
        container = view.containers.get(order["id"])
        if container is None or container.state == "created":
            return {"v4": [], "v6": []}
        first_start = container.started_at - container.created_at < 10
        if first_start and view.now < container.started_at + self.traps["address_lag"]:
            return {"v4": [], "v6": []}
        private = _entry("private", container.data["private"], self.lab.private)
        public = [_entry("public", container.data["public"], self.lab.public)]
        if order["name"] in self.traps["reserved_ip"]:
            public.insert(0, _entry("public", self._reserved_ip(order), self.lab.public))
        if order["name"] in self.traps["no_public_ipv4"] or not order.get("public_networking", True):
            public = []
        v4 = [private, *public] if self.traps["first_address"] == "private" else [*public, private]
        return {"v4": v4, "v6": [_ipv6_entry(order["id"])] if order.get("ipv6") else []}

    def _reserved_ip(self, order: dict[str, Any]) -> str:
        """An address at the end of the network, which no droplet gets; nothing answers there."""
        return str(self.lab.public[-2 - self.traps["reserved_ip"].index(order["name"])])

    def reserved_ips(self, view: View) -> list[dict[str, Any]]:
        return [
            {
                "ip": self._reserved_ip(order), "region": catalog.region(order["region"]), "locked": False,
                "droplet": self.show(view, order), "project_id": "",
            }
            for order in view.records["droplet"] if order["name"] in self.traps["reserved_ip"]
        ]  # fmt: skip

    # What a client orders

    def create(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        """Records the orders and returns them; the droplets follow."""
        names = _names(body, self.traps["max_names"])
        with self._orders:
            records = self.records.read()
            common = self._common(body, records["key"])
            if len(records["droplet"]) + len(names) > self.settings.droplet_limit:
                raise _limit_reached()
        halfway = self.traps.clear("limit_halfway") if len(names) > self.traps["limit_halfway"] else 0
        tags = _tags(body.get("tags"))
        for tag in tags:
            self.records.put("tag", tag_key(tag), {"name": tag})
        orders, unanswered = [], []
        for name in names[:halfway] if halfway else names:
            orders.append(self._order_one(name, common, tags))
            if self.traps.spring("twins", name):
                unanswered.append(self._order_one(name, common, tags))
        for order in orders + unanswered:
            self._submit(self._provision, order["id"])
        if halfway:
            raise _limit_reached()
        return orders

    def _order_one(self, name: str, common: dict[str, Any], tags: list[str]) -> dict[str, Any]:
        errored = name in self.traps["errored"]
        order = {"id": self.next_id(), "name": name, "ordered_at": self.clock(), "errored": errored, **common}
        for tag in tags:
            self._tag(tag, order["id"])
        self.records.put("droplet", order["id"], order)
        return order

    def _common(self, body: dict[str, Any], keys: list[dict[str, Any]]) -> dict[str, Any]:
        """What all droplets of one order share; raises a 422 if the order is impossible."""
        for field in ("size", "image"):
            if not body.get(field):
                raise invalid(f"{field} is required")
        region = catalog.find_region(body.get("region"))
        image = catalog.find_image(body["image"])
        if region is None:
            raise invalid("You specified an invalid region for Droplet creation.")
        if body["size"] not in catalog.SIZES:
            raise invalid("You specified an invalid size for Droplet creation.")
        if image is None:
            raise invalid("You specified an invalid image for Droplet creation.")
        if body.get("vpc_uuid") not in (None, "", catalog.vpc_id(region)):
            raise invalid("You specified an invalid VPC for Droplet creation.")
        user_data = body.get("user_data") or ""
        if not isinstance(user_data, str) or len(user_data.encode()) > MAX_USER_DATA:
            raise invalid("user_data must be text of at most 64 KiB.")
        return {
            "size": body["size"], "image": image, "region": region,
            **{name: body.get(name) is True for name in FEATURES},
            "public_networking": body.get("public_networking") is not False,
            "keys": _public_keys(body.get("ssh_keys"), keys),
        }  # fmt: skip

    def delete(self, orders: list[dict[str, Any]], view: View) -> None:
        """Removes the orders from the record; the containers follow. New droplets can be deleted although locked."""
        if any(self.locked(view, order) and view.status(order) != "new" for order in orders):
            raise pending_event()
        ids = {order["id"] for order in orders}
        gone = [tagging_key(t["tag"], t["droplet"]) for t in view.records["tagging"] if t["droplet"] in ids]
        self.records.remove("droplet", *ids)
        self.records.remove("tagging", *gone)
        for droplet_id in ids:
            if droplet_id in view.containers:
                self._submit(self._engine.remove, view.containers[droplet_id].name)

    def tag(self, tag: str, ids: list[int]) -> None:
        for droplet_id in ids:
            self._tag(tag, droplet_id)

    def _tag(self, tag: str, droplet_id: int) -> None:
        self.records.put("tagging", tagging_key(tag, droplet_id), {"tag": tag_key(tag), "droplet": droplet_id})

    # Actions

    def act(self, view: View, order: dict[str, Any], kind: str) -> dict[str, Any]:
        """Starts an action; its entry shows the outcome. Entries last as long as the service runs."""
        steps: dict[str, list[Callable[[str], None]]] = {
            "reboot": [self._engine.stop, self._engine.start],
            "shutdown": [self._engine.stop],
            "power_cycle": [self._engine.kill, self._engine.start],
            "power_off": [self._engine.kill],
            "power_on": [self._engine.start],
        }
        if kind not in steps:
            raise invalid(f"{kind} is not a valid action type.")
        status = view.status(order)
        if self.locked(view, order):
            raise pending_event()
        if (status == "active") == (kind == "power_on"):
            raise invalid("Droplet is already powered on." if kind == "power_on" else "Droplet is powered off.")
        entry = self.log_action(order, kind)
        if order["name"] in self.traps["errored"]:
            entry.update(status="errored")
        else:
            self._submit(self._run_action, entry, steps[kind], view.containers[order["id"]].name)
        return entry

    def _run_action(self, entry: dict[str, Any], steps: list[Callable[[str], None]], name: str) -> None:
        try:
            for step in steps:
                step(name)
        except LabError:
            entry.update(status="errored")
            raise
        entry.update(status="completed", completed_at=timestamp(self.clock()))

    def log_action(self, order: dict[str, Any], kind: str) -> dict[str, Any]:
        entry = {
            "id": self.next_id(), "status": "in-progress", "type": kind, "started_at": timestamp(self.clock()),
            "completed_at": None, "resource_id": order["id"], "resource_type": "droplet",
            "region": catalog.region(order["region"]), "region_slug": order["region"],
        }  # fmt: skip
        self._actions[entry["id"]] = entry
        return entry

    def action(self, action_id: int) -> dict[str, Any]:
        try:
            entry = self._actions[action_id]
        except KeyError:
            raise not_found() from None
        self._settle([entry], self.view())
        return entry

    def actions_of(self, order: dict[str, Any]) -> list[dict[str, Any]]:
        """The droplet's actions, the latest first."""
        return [entry for entry in reversed(self._actions.copy().values()) if entry["resource_id"] == order["id"]]

    def settled_actions_of(self, view: View, order: dict[str, Any]) -> list[dict[str, Any]]:
        entries = self.actions_of(order)
        self._settle(entries, view)
        return entries

    def _settle(self, entries: list[dict[str, Any]], view: View) -> None:
        """Records the outcome of creations."""
        orders = {order["id"]: order for order in view.records["droplet"]}
        for entry in entries:
            order = orders.get(entry["resource_id"])
            if order and entry["type"] == "create" and entry["status"] == "in-progress":
                if order.get("errored"):
                    entry.update(status="errored")
                elif view.status(order) != "new":
                    entry.update(status="completed", completed_at=timestamp(view.now))

    # Work that no reply waits for

    def resume(self) -> None:
        """Carries on where an earlier service stopped: finishes droplets that were being created or deleted."""
        view = self.view()
        ordered = {order["id"] for order in view.records["droplet"]}
        for droplet_id, container in view.containers.items():
            if droplet_id not in ordered or container.state == "created":
                self._engine.remove(container.name)
        for order in view.records["droplet"]:
            if view.status(order) == "new":
                self._submit(self._provision, order["id"])

    def _submit(self, call: Callable[..., None], *args: Any) -> None:
        future = self._work(call, *args)
        if isinstance(future, Future):
            future.add_done_callback(_report)

    def _provision(self, droplet_id: int) -> None:
        order = self._order(droplet_id)
        if order is None or order.get("errored"):
            return
        image = images.ensure(self._engine, order["image"])
        name = f"{self.lab.name}-{order['name']}-{droplet_id}"
        with self._addresses:
            addresses = self._free_addresses()
            self._engine.create_droplet(
                self.lab,
                name,
                # Linux allows 64 characters, DigitalOcean 255
                hostname=order["name"][:64].rstrip(".-"),
                image=image,
                public=addresses["public"],
                private=addresses["private"],
                data={"id": droplet_id, **addresses},
            )
        self._engine.copy_in(name, _authorized_keys(order["keys"]))
        if self._order(droplet_id):
            self._engine.start(name)
        if self._order(droplet_id) is None:
            self._engine.remove(name)

    def _order(self, droplet_id: int) -> dict[str, Any] | None:
        return next((o for o in self.records.read()["droplet"] if o["id"] == droplet_id), None)

    def _free_addresses(self) -> dict[str, str]:
        """The lowest free address of each network. Stopped containers keep theirs; the first one is the bridge's."""
        taken = self._engine.containers(self.lab.name)
        found = {}
        for kind, network in (("public", self.lab.public), ("private", self.lab.private)):
            used = {container.data[kind] for container in taken} | {str(network[1])}
            found[kind] = next(str(host) for host in network.hosts() if str(host) not in used)
        return found


def timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _report(future: Future[Any]) -> None:
    error = future.exception()
    if error:
        log.error("%s", error, exc_info=None if isinstance(error, LabError) else error)


def _entry(kind: str, address: str, network: IPv4Network) -> dict[str, Any]:
    gateway = str(network[1]) if kind == "public" else ""
    return {"ip_address": address, "netmask": str(network.netmask), "gateway": gateway, "type": kind}


def _ipv6_entry(droplet_id: int) -> dict[str, Any]:
    """An address for documentation: the lab's networks have no IPv6, so nothing answers there."""
    address = f"2001:db8::{droplet_id >> 16 & 0xFFFF:x}:{droplet_id & 0xFFFF:x}"
    return {"ip_address": address, "netmask": 64, "gateway": "2001:db8::1", "type": "public"}


def _limit_reached() -> ApiError:
    return invalid("creating this/these droplet(s) will exceed your droplet limit")


def _names(body: dict[str, Any], most: int) -> list[str]:
    names = body["names"] if "names" in body else [body.get("name")]
    if not isinstance(names, list) or not names or names == [None]:
        raise invalid("name is required")
    if len(names) > most:
        raise invalid(f"names can have at most {most} elements.")
    for name in names:
        if not isinstance(name, str) or len(name) > 255 or not HOSTNAME.fullmatch(name):
            raise invalid("Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)")
    return names


def _tags(tags: object) -> list[str]:
    if tags is None:
        return []
    if not isinstance(tags, list):
        raise invalid("tags must be a list.")
    return list({tag_key(name): name for name in map(tag_name, tags)}.values())


def tag_name(name: object) -> str:
    """The name, if it is valid for a tag; else raises a 422."""
    if not isinstance(name, str) or not TAG.fullmatch(name):
        raise invalid("Tag names may only contain letters, numbers, colons, dashes and underscores, at most 255.")
    return name


def _public_keys(wanted: object, keys: list[dict[str, Any]]) -> list[str]:
    if wanted is None:
        return []
    if not isinstance(wanted, list):
        raise invalid("ssh_keys must be a list.")
    known = {name: key["public_key"] for key in keys for name in (str(key["id"]), key["fingerprint"])}
    unknown = [str(item) for item in wanted if str(item) not in known]
    if unknown:
        raise invalid(f"{', '.join(unknown)} are invalid key identifiers for Droplet creation.")
    return [known[str(item)] for item in wanted]


def _authorized_keys(keys: list[str]) -> bytes:
    content = "".join(f"{key}\n" for key in keys).encode()
    entry = tarfile.TarInfo("root/.ssh/authorized_keys")
    entry.mode, entry.size, entry.mtime = 0o600, len(content), int(time.time())
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()
