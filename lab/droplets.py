# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Droplets: what a client may order, what became of it, and the work that a 202 leaves to be done.

Source of the rules: DigitalOcean's API specification, and where its users saw otherwise, what they saw.
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
from typing import Any

from lab import catalog, images
from lab.engine import Container, Engine
from lab.errors import LabError, invalid, not_found
from lab.records import Records, tag_key, tagging_key
from lab.state import Lab

log = logging.getLogger("lab")

HOSTNAME = re.compile(r"[a-zA-Z0-9]?[a-z0-9A-Z.\-]*[a-z0-9A-Z]")
TAG = re.compile(r"[a-zA-Z0-9_\-:]{1,255}")
MAX_NAMES = 10
MAX_USER_DATA = 64 * 1024
EPOCH = datetime(2025, 1, 1, tzinfo=UTC).timestamp()


@dataclass(frozen=True)
class Settings:
    """The service's knobs. Lags are seconds; each is read from the environment as LAB_ and its name in capitals."""

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
    """What the engine says at one moment; every reply is made of one."""

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

    def tagged(self, tag: str) -> list[dict[str, Any]]:
        return [order for order in self.records["droplet"] if tag in self.tags(order["id"])]


class Droplets:
    """The droplets of one lab. `work` runs what a reply doesn't wait for; tests put a plain call there."""

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
        self.records = Records(engine, lab.name)
        self.clock = clock
        self._engine = engine
        self._work = work or ThreadPoolExecutor(max_workers=4, thread_name_prefix="work").submit
        self._orders = threading.Lock()
        self._addresses = threading.Lock()
        self._actions: dict[int, dict[str, Any]] = {}
        self._last_id = 0

    def view(self) -> View:
        # Containers first: a droplet deleted between the two is then gone, and not new again
        containers = {int(item.data["id"]): item for item in self._engine.containers(self.lab.name)}
        return View(self.clock(), self.records.read(), containers)

    def next_id(self) -> int:
        """A number that is never used twice: tenths of a second since 2025, or one more than the last."""
        with self._orders:
            self._last_id = max(self._last_id + 1, int((self.clock() - EPOCH) * 10))
            return self._last_id

    # What a client sees

    def listed(self, view: View) -> list[dict[str, Any]]:
        """Orders old enough to be in a list: a new droplet is missing from it for a moment (api-v2#202)."""
        return [o for o in view.records["droplet"] if view.now >= o["ordered_at"] + self.settings.list_lag]

    def show(self, view: View, order: dict[str, Any]) -> dict[str, Any]:
        status = view.status(order)
        size = catalog.size(order["size"])
        return {
            "id": order["id"], "name": order["name"],
            "memory": size["memory"], "vcpus": size["vcpus"], "disk": size["disk"],
            "locked": status == "new", "status": status, "kernel": None, "created_at": timestamp(order["ordered_at"]),
            "features": ["monitoring"] if order["monitoring"] else [],
            "backup_ids": [], "next_backup_window": None, "snapshot_ids": [], "volume_ids": [],
            "image": catalog.image(order["image"]), "size": size, "size_slug": order["size"],
            "networks": self._networks(view, order), "region": catalog.region(order["region"]),
            "tags": view.tags(order["id"]), "vpc_uuid": catalog.vpc_id(order["region"]),
        }  # fmt: skip

    def _networks(self, view: View, order: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
        """Empty until some time after the first start; the private entry comes first, as the API may have it."""
        container = view.containers.get(order["id"])
        if container is None or container.state == "created":
            return {"v4": [], "v6": []}
        first_start = container.started_at - container.created_at < 10
        if first_start and view.now < container.started_at + self.settings.address_lag:
            return {"v4": [], "v6": []}
        entries = []
        for kind, network in (("private", self.lab.private), ("public", self.lab.public)):
            gateway = str(network[1]) if kind == "public" else ""
            entries.append(
                {
                    "ip_address": container.data[kind],
                    "netmask": str(network.netmask),
                    "gateway": gateway,
                    "type": kind,
                }
            )
        return {"v4": entries, "v6": []}

    # What a client orders

    def create(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        """Puts the orders on record and returns them; the droplets follow."""
        names = _names(body)
        with self._orders:
            records = self.records.read()
            common = self._common(body, records["key"])
            if len(records["droplet"]) + len(names) > self.settings.droplet_limit:
                raise invalid("creating this/these droplet(s) will exceed your droplet limit")
        tags = _tags(body.get("tags"))
        for tag in tags:
            self.records.put("tag", tag_key(tag), {"name": tag})
        orders = []
        for name in names:
            order = {"id": self.next_id(), "name": name, "ordered_at": self.clock(), **common}
            for tag in tags:
                self._tag(tag, order["id"])
            self.records.put("droplet", order["id"], order)
            orders.append(order)
        for order in orders:
            self._submit(self._provision, order["id"])
        return orders

    def _common(self, body: dict[str, Any], keys: list[dict[str, Any]]) -> dict[str, Any]:
        """What all droplets of one order share; raises a 422 for what can't be had."""
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
            "size": body["size"], "image": image, "region": region, "monitoring": body.get("monitoring") is True,
            "keys": _public_keys(body.get("ssh_keys"), keys),
        }  # fmt: skip

    def delete(self, orders: list[dict[str, Any]], view: View) -> None:
        """Takes the orders off the record; the containers follow."""
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
        """Starts an action; its entry says what became of it. Entries live as long as the service."""
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
        if status == "new":
            raise invalid("Droplet already has a pending event.")
        if (status == "active") == (kind == "power_on"):
            raise invalid("Droplet is already powered on." if kind == "power_on" else "Droplet is powered off.")
        entry = self.log_action(order, kind)
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
        if entry["type"] == "create" and entry["status"] == "in-progress":
            view = self.view()
            if any(view.status(o) != "new" for o in view.records["droplet"] if o["id"] == entry["resource_id"]):
                entry.update(status="completed", completed_at=timestamp(view.now))
        return entry

    # Work that no reply waits for

    def resume(self) -> None:
        """Carries on where a former service stopped: half-made droplets are made, half-deleted ones removed."""
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
        if order is None:
            return
        image = images.ensure(self._engine, order["image"])
        name = f"{self.lab.name}-{order['name']}-{droplet_id}"
        with self._addresses:
            addresses = self._free_addresses()
            self._engine.create_droplet(
                self.lab,
                name,
                # Linux takes 64 characters, and DigitalOcean's names have up to 255
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
        """The lowest address of each network that no container has, running or not; the first is the bridge's."""
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


def _names(body: dict[str, Any]) -> list[str]:
    names = body["names"] if "names" in body else [body.get("name")]
    if not isinstance(names, list) or not names or names == [None]:
        raise invalid("name is required")
    if len(names) > MAX_NAMES:
        raise invalid(f"names can have at most {MAX_NAMES} elements.")
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
    """The name, if it may be a tag's; raises a 422 if not."""
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
