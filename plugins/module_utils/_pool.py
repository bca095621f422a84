# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: desired and actual droplets -> a plan. Pure: no network, no clock, no Ansible.

from __future__ import annotations

import dataclasses
import re
import typing as t

Droplet = dict[str, t.Any]

# Names the file that the module writes its progress to, for the action plugin to show
PROGRESS_VARIABLE = "ALPHACODER_SCALEOUT_PROGRESS"

# The API allows dots in a droplet's name but not in a tag, and the pool's name becomes both
_POOL_NAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?")
_TAG = re.compile(r"[a-zA-Z0-9_:-]{1,255}")
_MAX_POOL_NAME = 200

# What an account's tags have before the name of a service
_SERVICE_PREFIX = "service:"
_SERVICE_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_MAX_SERVICE_NAME = 63

# What to do with droplets of no service
ADOPT = (
    "Adopt them once, with the inventory of the service that they belong to: ansible-playbook playbooks/adopt.yml, or "
    "alphacoder.scaleout.adopt where the collection is installed"
)

# Set when a droplet is created, and never changed
_FIXED = ("size", "region", "image", "vpc_uuid")


class PoolError(Exception):
    """Why the pool can't be as asked for, in one line."""


class Drift(t.TypedDict):
    """A droplet that differs from an option of the pool."""

    name: str
    id: int
    option: str
    wanted: str
    actual: str


@dataclasses.dataclass(frozen=True)
class Desired:
    service: str
    name: str
    count: int
    tags: tuple[str, ...] = ()
    size: str | None = None
    region: str | None = None
    image: str | None = None
    vpc_uuid: str | None = None

    @property
    def own_tag(self) -> str:
        return f"pool:{self.name}"

    @property
    def service_tag(self) -> str:
        return service_tag(self.service)

    @property
    def all_tags(self) -> list[str]:
        return list({tag.casefold(): tag for tag in (self.service_tag, self.own_tag, *self.tags)}.values())


@dataclasses.dataclass(frozen=True)
class Plan:
    create: list[str]
    remove: list[Droplet]
    keep: list[Droplet]
    # tag -> ids of droplets that lack it
    add_tags: dict[str, list[int]]
    drift: list[Drift]
    warnings: list[str]

    @property
    def changed(self) -> bool:
        return bool(self.create or self.remove or self.add_tags)

    @property
    def tagged(self) -> list[str]:
        """Names of the droplets that lack a tag."""
        ids = {one for lacking in self.add_tags.values() for one in lacking}
        return [droplet["name"] for droplet in self.keep if droplet["id"] in ids]


def service_tag(service: str) -> str:
    return f"{_SERVICE_PREFIX}{service}"


def service_problem(service: object) -> str | None:
    """What is wrong with the name of a service."""
    # YAML makes a number of 2026
    name = str(service) if isinstance(service, str | int) and not isinstance(service, bool) else ""
    if _SERVICE_NAME.fullmatch(name) and len(name) <= _MAX_SERVICE_NAME:
        return None
    return (
        f"is {service!r}; it must be the name of a service, such as shop-staging: at most {_MAX_SERVICE_NAME} "
        "lower-case letters, digits and hyphens, with a letter or digit at both ends"
    )


def services_of(tags: t.Iterable[str]) -> list[str]:
    """The services that a droplet with these tags belongs to: one, if nobody has changed them by hand."""
    found = {tag.casefold() for tag in tags if tag.casefold().startswith(_SERVICE_PREFIX)}
    return sorted(tag.removeprefix(_SERVICE_PREFIX) for tag in found)


def is_unclaimed_member(tags: t.Collection[str]) -> bool:
    """Whether a droplet with these tags is in a pool, but in no service: pools had none before they had services."""
    return not services_of(tags) and any(tag.casefold().startswith("pool:") for tag in tags)


def check(desired: Desired) -> None:
    if problem := service_problem(desired.service):
        raise PoolError(f"service {problem}.")
    if not _POOL_NAME.fullmatch(desired.name) or len(desired.name) > _MAX_POOL_NAME:
        raise PoolError(
            f"name {desired.name!r} must be at most {_MAX_POOL_NAME} letters, digits and hyphens, and begin and end "
            "with a letter or digit: droplets and a tag are named after it."
        )
    if desired.count < 0:
        raise PoolError(f"count is {desired.count}, but it must be 0 or more.")
    if others := [tag for tag in desired.tags if services_of([tag]) not in ([], [desired.service])]:
        raise PoolError(
            f"tags has {', '.join(others)}, but the service is {desired.service}: a droplet belongs to one service, "
            "which the option service names."
        )
    wrong = [tag for tag in desired.tags if not _TAG.fullmatch(tag)]
    if wrong:
        raise PoolError(
            f"tags must be at most 255 letters, digits, colons, hyphens and underscores each: {', '.join(wrong)}"
        )


def number(desired: Desired, droplet: Droplet) -> int | None:
    """The n of <name>-<n>, or None if the droplet is not in the pool."""
    mine = has_tag(droplet, desired.own_tag) and services_of(droplet["tags"]) == [desired.service]
    return _number(desired, droplet) if mine else None


def _number(desired: Desired, droplet: Droplet) -> int | None:
    match = re.fullmatch(re.escape(desired.name) + r"-([1-9][0-9]*)", droplet["name"], re.IGNORECASE)
    return int(match[1]) if match else None


def has_tag(droplet: Droplet, tag: str) -> bool:
    # The API keeps the capitals of whoever used a tag first
    return tag.casefold() in (one.casefold() for one in droplet["tags"])


def is_down(droplet: Droplet) -> bool:
    """Whether it is off or archived, and no action is under way that could change that."""
    return droplet["status"] in ("off", "archive") and not droplet["locked"]


def down(droplets: t.Iterable[Droplet]) -> str | None:
    """What to say of droplets that are down; None if none is."""
    found = [
        f"{droplet['name']} (id {droplet['id']}) is {droplet['status']}" for droplet in droplets if is_down(droplet)
    ]
    if not found:
        return None
    return (
        f"{', '.join(found)}, so waiting would not help: power it on, or delete it and run this again to create a "
        "new one."
    )


def members(desired: Desired, droplets: t.Iterable[Droplet]) -> list[Droplet]:
    """The pool's droplets in the order of their numbers."""
    numbered = [(n, droplet["id"], droplet) for droplet in droplets if (n := number(desired, droplet)) is not None]
    return [droplet for _n, _id, droplet in sorted(numbered, key=lambda entry: entry[:2])]


def of_service(desired: Desired, droplets: t.Iterable[Droplet]) -> list[Droplet]:
    """Those of the service that have the pool's own tag, whatever they are called.

    Raises PoolError if one is in a second service as well: whose it is can't be told, and both would remove it.
    """
    tagged = [droplet for droplet in droplets if has_tag(droplet, desired.own_tag)]
    found = [droplet for droplet in tagged if desired.service in services_of(droplet["tags"])]
    if shared := [droplet for droplet in found if len(services_of(droplet["tags"])) > 1]:
        raise PoolError(
            "; ".join(in_several_services(one["name"], one["id"], services_of(one["tags"])) for one in shared) + "."
        )
    return found


def in_several_services(name: str, droplet_id: int, services: t.Iterable[str]) -> str:
    return (
        f"{name} (id {droplet_id}) has the tags {', '.join(map(service_tag, services))}, but a droplet belongs to one "
        "service: remove the others from it"
    )


def unclaimed(desired: Desired, droplets: t.Iterable[Droplet]) -> list[Droplet]:
    """Those that would be the pool's if they were of its service, and are of none, in the order of their numbers."""
    found = [
        (n, droplet["id"], droplet)
        for droplet in droplets
        if has_tag(droplet, desired.own_tag)
        and not services_of(droplet["tags"])
        and (n := _number(desired, droplet)) is not None
    ]
    return [droplet for _n, _id, droplet in sorted(found, key=lambda entry: entry[:2])]


def adoption(desired: Desired, droplets: t.Iterable[Droplet]) -> Plan:
    """What makes the unclaimed ones the service's."""
    droplets = list(droplets)
    own = of_service(desired, droplets)
    new = unclaimed(desired, droplets)
    keep = [*members(desired, own), *new]
    return Plan(
        create=[],
        remove=[],
        keep=keep,
        add_tags={desired.service_tag: [droplet["id"] for droplet in new]} if new else {},
        drift=[],
        warnings=_warnings(desired, keep, []),
    )


def plan(desired: Desired, droplets: t.Iterable[Droplet], max_removals: int | None = None) -> Plan:
    """max_removals None is no limit. Raises PoolError if the plan would go beyond it, or if a droplet is unclaimed."""
    droplets = list(droplets)
    if found := unclaimed(desired, droplets):
        raise PoolError(
            f"These droplets have the tag {desired.own_tag}, but are of no service, because they were made before "
            f"there were services: {', '.join(one['name'] for one in found)}. Nothing was changed. {ADOPT}; with "
            "--check --diff it shows what it would do."
        )
    tagged = of_service(desired, droplets)
    actual = members(desired, tagged)
    # The second droplet of a name is removed before any droplet that is the only one of its name
    seen: set[int | None] = set()
    ranked = []
    for droplet in actual:
        n = number(desired, droplet)
        ranked.append((n in seen, n or 0, droplet["id"], droplet))
        seen.add(n)
    ranked.sort(key=lambda entry: entry[:3], reverse=True)

    surplus = max(0, len(actual) - desired.count)
    remove = [entry[3] for entry in ranked[:surplus]]
    if max_removals is not None and surplus > max_removals:
        raise PoolError(
            f"Pool {desired.name} has {len(actual)} droplets and should have {desired.count}, which removes {surplus} "
            f"({', '.join(droplet['name'] for droplet in remove)}), but max_removals is {max_removals}. Nothing was "
            f"removed. If you mean it, set max_removals to {surplus}, or lower count step by step."
        )
    removed = {droplet["id"] for droplet in remove}
    keep = [droplet for droplet in actual if droplet["id"] not in removed]
    add_tags = {tag: [droplet["id"] for droplet in keep if not has_tag(droplet, tag)] for tag in desired.all_tags}
    return Plan(
        create=_free_names(desired, seen, desired.count - len(actual)),
        remove=remove,
        keep=keep,
        add_tags={tag: ids for tag, ids in add_tags.items() if ids},
        drift=_drift(desired, keep),
        warnings=_warnings(desired, keep, [one for one in tagged if one not in actual]),
    )


def _free_names(desired: Desired, taken: t.Container[int | None], missing: int) -> list[str]:
    names: list[str] = []
    n = 1
    while len(names) < missing:
        if n not in taken:
            names.append(f"{desired.name}-{n}")
        n += 1
    return names


def _warnings(desired: Desired, keep: list[Droplet], strangers: list[Droplet]) -> list[str]:
    found = []
    if strangers:
        found.append(
            f"These droplets have the tag {desired.own_tag}, but no name like {desired.name}-1, so they are left "
            f"alone: {', '.join(one['name'] for one in strangers)}."
        )
    names = [droplet["name"] for droplet in keep]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        found.append(f"More than one droplet of pool {desired.name} is called {', '.join(twice)}.")
    return found


def drift_texts(desired: Desired, drift: list[Drift]) -> list[str]:
    """A sentence for each option that differs somewhere."""
    return [
        f"The {option} of pool {desired.name} is {getattr(desired, option)}, but these droplets have another: "
        + ", ".join(f"{one['name']} ({one['actual']})" for one in drift if one["option"] == option)
        for option in dict.fromkeys(one["option"] for one in drift)
    ]


def _drift(desired: Desired, keep: list[Droplet]) -> list[Drift]:
    return [
        Drift(name=droplet["name"], id=droplet["id"], option=option, wanted=wanted, actual=str(droplet[option]))
        for option in _FIXED
        if (wanted := getattr(desired, option)) is not None
        for droplet in keep
        if _differs(option, wanted, droplet[option])
    ]


def _differs(field: str, wanted: str, actual: t.Any) -> bool:
    if actual is None:
        return False
    if field == "region":
        # A prefix such as nyc lets DigitalOcean choose
        return not str(actual).startswith(wanted)
    if field == "image" and wanted.isdigit() != str(actual).isdigit():
        # An image loses its slug to the next image that takes it: a slug and an id can't be compared
        return False
    return str(actual) != wanted
