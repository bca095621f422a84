# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: the one definition of an app's health, for who asks the app itself, and for HAProxy.

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterator

from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings import Settings

KEYS = ("path", "headers", "status", "timeout")
# What HAProxy and a shell take as it is
PATH = re.compile(r"(/[\w./?&=%~+,:;@!*-]*)?", re.ASCII)
HEADER = re.compile(r"[A-Za-z0-9!#$%&*+.^_|~-]+")
VALUE = re.compile(r"[ -~]+")
STATUS = re.compile(r"[1-5]\d\d(-[1-5]\d\d)?(,[1-5]\d\d(-[1-5]\d\d)?)*")
PLAIN = re.compile(r"[\w./:;,=@+*-]+", re.ASCII)


def _given(settings: Settings) -> dict[str, t.Any]:
    """What the user said, in the long form."""
    path = settings.get("app_health_path")
    return {"path": path} if path else settings.get("app_health") or {}


def _ranges(status: str) -> list[tuple[int, int]]:
    parts = [part.split("-") for part in status.split(",")]
    return [(int(part[0]), int(part[-1])) for part in parts]


def health_problems(settings: Settings) -> Iterator[str]:
    """A sentence for each problem."""
    path, health = settings.get("app_health_path") or "", settings.get("app_health") or {}
    if not PATH.fullmatch(str(path)):
        yield f"app_health_path is '{path}'; it must be empty, or begin with /, and have no spaces or quotes."
    if not isinstance(health, dict):
        yield f"app_health is {health!r}; it must be a dictionary, such as {{path: /up, status: 200-399}}."
        return
    if path and health:
        yield "app_health_path and app_health are both set; app_health_path is the short form of {path: …}. Remove one."
    for key in health:
        if key not in KEYS:
            yield f"app_health has {key}; it takes {', '.join(KEYS)}."
    if health and (not health.get("path") or not PATH.fullmatch(str(health["path"]))):
        yield f"app_health: path is '{health.get('path', '')}'; it must begin with /, and have no spaces or quotes."
    status = str(health.get("status", "200"))
    if not STATUS.fullmatch(status) or any(low > high for low, high in _ranges(status)):
        yield f"app_health: status is '{status}'; it must be a status, a range or several, such as 200-299,401."
    timeout = health.get("timeout", 1)
    if isinstance(timeout, bool) or not str(timeout).isdecimal() or not 1 <= int(timeout) <= 300:
        yield f"app_health: timeout is {timeout!r}; it must be a number of seconds, from 1 to 300."
    headers = health.get("headers") or {}
    if not isinstance(headers, dict):
        yield f"app_health: headers is {headers!r}; it must be a dictionary, such as {{Host: shop.example.org}}."
        return
    for name, value in headers.items():
        if not HEADER.fullmatch(str(name)):
            yield f"app_health: headers has '{name}', which is no name of a header."
        elif not isinstance(value, str) or not VALUE.fullmatch(value):
            yield f"app_health: header {name} must be text of one line; put a number into quotes."


def _haproxy_word(text: str) -> str:
    """An argument of HAProxy's http-check, whose value is a format with % in it."""
    text = text.replace("%", "%%")
    return text if PLAIN.fullmatch(text) else "'" + text.replace("'", r"'\''") + "'"


def health_check(settings: Settings, host: str = "") -> dict[str, t.Any]:
    """How the app is asked whether it can serve, and what counts as yes; `host` is where it is asked.

    path, headers, timeout: for a client; status: as the user wrote it; statuses: the numbers that count; request: what
    goes over the wire; httpchk, http_check: what HAProxy's keywords of these names are given. An empty path: nobody
    asks, also where the settings are wrong, which the preflight of the app's role says.
    """
    given = {} if any(health_problems(settings)) else _given(settings)
    path = str(given.get("path") or "")
    headers: dict[str, str] = dict(given.get("headers") or {})
    status = str(given.get("status", "200"))
    timeout = int(given.get("timeout", 5))
    has_host = "host" in map(str.lower, headers)
    lines = [f"GET {path} HTTP/1.0", *(f"{name}: {value}" for name, value in headers.items())]
    # A request of HTTP/1.1 must have a Host, and HAProxy has none to send
    httpchk = f"GET {path}{' HTTP/1.1' if has_host else ''}"
    hdr = "".join(f" hdr {name} {_haproxy_word(value)}" for name, value in headers.items())
    return {
        "path": path,
        "headers": headers,
        "status": status,
        "statuses": [number for low, high in _ranges(status) for number in range(low, high + 1)],
        "timeout": timeout,
        "request": "\r\n".join([*lines, *([] if has_host else [f"Host: {host}"]), "", ""]),
        "httpchk": httpchk if path else "",
        "http_check": ([f"send{hdr}"] if hdr else []) + [f"expect status {status}"] if path else [],
    }
