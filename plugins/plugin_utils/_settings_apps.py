# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with scaleout_apps, with the app that a run is for, and with what hosts make of them."""

from __future__ import annotations

import difflib
import itertools
import re
import typing as t
from collections.abc import Collection, Iterator, Mapping

from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_health import health_check, health_problems
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._apps import TAKEN, Apps, port_of, routes
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings import Settings
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_haproxy import OF_APP, USUAL

KEYS = ("port", "hosts", "paths", "health", "backend")
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
LABEL = r"[a-z0-9_]([a-z0-9_-]*[a-z0-9])?"
HOST = re.compile(rf"(\*\.)?{LABEL}(\.{LABEL})*", re.IGNORECASE | re.ASCII)
PATH = re.compile(r"/[\w./&=%~+,:;@!*-]*", re.ASCII)
# What a backend has of the app already
OF_BACKEND = {
    "name": "is the app's own",
    "mode": "is http, for only that knows host names and paths",
    "servers": "are the app servers, with the app's port",
    "httpchk": "is made of health",
    "http_check": "is made of health",
}
# What containers of another app have at the end of their names
ENDS = ("-beside", "-former", "-assets")
LINES = (
    'haproxy_backends: "{{ scaleout_backends }}", haproxy_use_backend: "{{ scaleout_use_backend }}" and '
    'haproxy_default_backend: "{{ scaleout_default_backend }}"'
)


def _near(name: str, names: Collection[str], otherwise: str) -> str:
    near = difflib.get_close_matches(name, names, 1)
    return f"did you mean {near[0]}?" if near else f"{otherwise} {', '.join(names)}."


def _texts(where: str, value: t.Any, pattern: re.Pattern[str], right: str) -> Iterator[str]:
    if not isinstance(value or [], list):
        yield f"{where} is {value!r}; it must be a list of {right}."
        return
    for one in value or []:
        if not isinstance(one, str) or not pattern.fullmatch(one):
            yield f"{where} has {one!r}; it must be a list of {right}."


def _shape(name: str, app: t.Any) -> Iterator[str]:
    """What is wrong with one app."""
    where = f"scaleout_apps: {name}"
    if not NAME.fullmatch(name):
        yield f"{where} is no name; it must be letters, digits, _, . and -, and begin with a letter or a digit."
    if name in TAKEN:
        yield f"{where} is what HAProxy has another section for ({', '.join(TAKEN)}); give the app another name."
    if not isinstance(app, Mapping):
        yield f"{where} is {app!r}; it must be a dictionary, such as {{port: 8000, hosts: [shop.example.org]}}."
        return
    for key in map(str, app):
        if key not in KEYS:
            yield f"{where} has {key}; {_near(key, KEYS, 'it takes')}"
    if not port_of(app):
        yield f"{where}: port is {app.get('port')!r}; it must be where app servers publish the app, from 1 to 65535."
    names = "host names without a port, such as shop.example.org or '*.shop.example.org'"
    yield from _texts(f"{where}: hosts", app.get("hosts"), HOST, names)
    yield from _texts(f"{where}: paths", app.get("paths"), PATH, "paths that begin with /, such as /blog")
    for problem in health_problems({"app_health": app.get("health") or {}}):
        yield problem.replace("app_health", f"{where}: health")
    backend = app.get("backend") or {}
    if not isinstance(backend, Mapping):
        yield f"{where}: backend is {backend!r}; it must be keys of haproxy_backends, such as {{balance: leastconn}}."
        return
    for key in map(str, backend):
        if key in OF_BACKEND:
            yield f"{where}: backend has {key}, which {OF_BACKEND[key]}; remove it."


def _together(apps: Apps) -> Iterator[str]:
    """What is wrong with apps of which each by itself is right."""
    owners: dict[str, str] = {}
    for route in routes(apps):
        owner = owners.setdefault(f"{route.host}{route.path}", route.app)
        both = f"scaleout_apps: {owner} and {route.app} both take"
        if owner != route.app and (route.host or route.path):
            yield f"{both} {route.host}{route.path}; remove it from one of them."
        elif owner != route.app:
            yield f"{both} what no other app takes, for they have neither hosts nor paths; give one of them some."
    by_port = sorted(apps, key=lambda name: port_of(apps[name]))
    for low, high in itertools.pairwise(by_port):
        port, next_port = port_of(apps[low]), port_of(apps[high])
        if port == next_port:
            yield f"scaleout_apps: {low} and {high} both have port {port}; give one of them another."
        elif port + 1 == next_port:
            yield (
                f"scaleout_apps: {high} has port {next_port}, which is where {low} answers while its only container is "
                f"replaced (its port and 1); give {high} another, such as {port + 10}."
            )
    for name in apps:
        for other in {name.removesuffix(end) for end in ENDS} & set(apps) - {name}:
            yield f"scaleout_apps: {name} is the name of a container of {other} at times; give it another."


def _of_run(apps: Apps, app: str) -> Iterator[str]:
    """What is wrong with the app that the run is for."""
    if not app:
        first, *_others = apps
        yield (
            f"The run names no app, and scaleout_apps has {', '.join(apps)}. Give it the settings of one, with its "
            f"app_name, such as -e @apps/{first}.yml."
        )
    elif app not in apps:
        yield (
            f"app_name is {app}, which scaleout_apps does not have; {_near(app, list(apps), 'it has')} The settings of "
            f"an app are given with -e @apps/NAME.yml; a new app is written into scaleout_apps first."
        )


def _of_app_server(settings: Settings, app: str) -> Iterator[str]:
    """What differs from scaleout_apps."""
    apps: Apps = settings["scaleout_apps"]
    port = port_of(apps[app])
    if str(settings.get("scaleout_app_port")) != str(port):
        yield (
            f"scaleout_app_port is {settings.get('scaleout_app_port')}, but {app} of scaleout_apps has port {port}. "
            "Remove scaleout_app_port from group_vars, for it follows scaleout_apps."
        )
    elif str(settings.get("app_publish_port")) != str(port):
        yield (
            f"app_publish_port is {settings.get('app_publish_port')}, but {app} of scaleout_apps has port {port}. "
            'Write app_publish_port: "{{ scaleout_app_port }}" into group_vars/app.yml.'
        )
    if (backend := settings.get("scaleout_backend")) != app:
        yield f"scaleout_backend is {backend}, but the backend of {app} has its name. Remove scaleout_backend."
    beside = int(settings.get("app_beside_port") or port + 1)
    for name in apps:
        if name != app and beside in (port_of(apps[name]), port_of(apps[name]) + 1):
            yield f"app_beside_port is {beside}, which {name} of scaleout_apps has; it must be a port that no app has."
    own = {name: settings.get(name) for name in ("app_health", "app_health_path")}
    if health_check(own) != health_check({"app_health": apps[app].get("health") or {}}):
        yield (
            f"app_health or app_health_path of {app} is not the health of scaleout_apps, which HAProxy asks. "
            'Write it there alone, as health: {path: /up}, and app_health: "{{ scaleout_app_health }}" into '
            "group_vars/app.yml."
        )


def _of_balancer(settings: Settings) -> Iterator[str]:
    """What leaves an app out."""
    if settings.get("haproxy_mode", "http") != "http":
        yield "haproxy_mode is tcp, which knows no host names and paths; with scaleout_apps, it must be http."
    for key in OF_APP:
        value = settings.get(f"haproxy_{key}")
        if key != "maintenance" and value and value != USUAL.get(key):
            yield (
                f"haproxy_{key} is for the backend of a single app. Write it into the apps of scaleout_apps that need "
                f"it, as backend: {{{key.removeprefix('backend_')}: …}}."
            )
    backends = [one.get("name") for one in settings.get("haproxy_backends") or []]
    lines: list[str] = []
    frontends = settings.get("haproxy_frontends") or []
    for some in [settings.get("haproxy_use_backend"), *(one.get("use_backend") for one in frontends)]:
        lines += [some] if isinstance(some, str) else some or []
    missing = [name for name in settings["scaleout_apps"] if name not in backends]
    missing += [line.split()[0] for line in settings["scaleout_use_backend"] if line not in lines]
    default = settings["scaleout_default_backend"]
    if settings.get("haproxy_bind", "*:80") and settings.get("haproxy_default_backend", "app") == "app" != default:
        missing.append(default)
    if missing:
        yield (
            f"The load balancers would send nobody to {', '.join(dict.fromkeys(missing))} of scaleout_apps. Write "
            f"these lines into group_vars/lb.yml, with what you have there added: {LINES}."
        )


def apps_problems(settings: Settings, app: str = "", tier: str = "") -> list[str]:
    """A sentence for each problem. `app`: the one that the run is for; `tier`: app or lb, what the settings are of."""
    apps = settings.get("scaleout_apps") or {}
    if not isinstance(apps, Mapping):
        return [f"scaleout_apps is {apps!r}; it must be a dictionary of apps, such as {{shop: {{port: 8000}}}}."]
    if not apps:
        return []
    if tier:
        return list(_of_app_server(settings, app) if tier == "app" else _of_balancer(settings))
    problems = [problem for name in apps for problem in _shape(str(name), apps[name])]
    return [*(problems or _together(apps)), *_of_run({str(name): apps[name] for name in apps}, app)]
