# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the settings of role haproxy."""

from __future__ import annotations

DOCUMENTATION = r"""
name: haproxy_problems
short_description: What is wrong with the settings of role haproxy
version_added: 0.1.0
author: Alphacoder (@alphacoder)
description:
  - Says of each setting that HAProxy could not use which one it is, what it is, and what would be right.
  - Types and required keys are the role's argument specs' matter, and are taken as checked.
options:
  _input:
    description: The variables of role P(alphacoder.scaleout.haproxy#role), by name.
    type: dict
    required: true
seealso:
  - plugin: alphacoder.scaleout.haproxy
    plugin_type: role
"""

EXAMPLES = r"""
- name: Settings are right
  ansible.builtin.assert:
    that: problems == []
    fail_msg: "{{ problems | join('; ') }}"
  vars:
    problems: "{{ {'haproxy_balance': 'roundrobbin'} | alphacoder.scaleout.haproxy_problems }}"
"""

RETURN = r"""
_value:
  description: A sentence for each problem; empty where there is none.
  type: list
  elements: str
"""

import ipaddress
import re
import typing as t
from collections.abc import Iterable

NAME = re.compile(r"[A-Za-z0-9_.:-]+")
TIME = re.compile(r"([1-9]\d*)(us|ms|s|m|h|d)")
MILLISECONDS = {"us": 0.001, "ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
# HAProxy's own names, with what each needs after it
BALANCE = {
    "roundrobin": r"roundrobin",
    "static-rr": r"static-rr",
    "leastconn": r"leastconn",
    "first": r"first",
    "source": r"source",
    "uri": r"uri( (whole|path-only|(len|depth) \d+))*",
    "url_param NAME": r"url_param \S+( check_post( \d+)?)?",
    "hdr(NAME)": r"hdr\([^()\s]+\)( use_domain_only)?",
    "random": r"random(\([1-9]\d*\))?",
    "rdp-cookie": r"rdp-cookie(\([^()\s]+\))?",
    "hash SAMPLE": r"hash \S.*",
}
BALANCE_OF_HTTP = re.compile(r"uri|url_param|hdr\(")
# The statuses that HAProxy makes pages of
ERROR_STATUSES = (200, 400, 401, 403, 404, 405, 407, 408, 410, 413, 425, 429, 500, 501, 502, 503, 504)
# Names of sections that the role makes
OWN_SECTIONS = ("public", "stats", "app")
LINES_OF_BOTH = ("acl", "http_request", "http_response", "option", "extra")
LINES_OF_FRONTEND = (*LINES_OF_BOTH, "bind", "tcp_request", "http_after_response", "redirect", "use_backend")
LINES_OF_BACKEND = (*LINES_OF_BOTH, "use_server", "stick", "http_check", "tcp_check")
TEXTS_OF_FRONTEND = ("stick_table", "default_backend")
TEXTS_OF_BACKEND = ("balance", "hash_type", "cookie", "httpchk", "default_server", "stick_table", "retry_on")
ONLY_HTTP = ("http_request", "http_response", "http_after_response", "redirect", "cookie", "rate_limit")

Section = dict[str, t.Any]


def _lines(value: object) -> list[t.Any]:
    """The lines that a setting stands for: a text is one, a list is one each."""
    if isinstance(value, (list, tuple)):
        return list(value)
    return [] if value in (None, "") else [value]


def _is_time(value: object) -> bool:
    """Whether HAProxy takes this as a time: a number and a unit, at most what 31 bits hold in milliseconds."""
    found = TIME.fullmatch(value) if isinstance(value, str) else None
    return found is not None and int(found[1]) * MILLISECONDS[found[2]] <= 2**31 - 1


class _Checker:
    """Goes through the settings and gathers problems."""

    def __init__(self, settings: dict[str, t.Any]) -> None:
        self.settings = settings
        self.mode = settings.get("haproxy_mode", "http")
        self.problems: list[str] = []

    def wrong(self, where: str, value: object, right: str) -> None:
        self.problems.append(f"{where} is {value!r}; it must be {right}")

    def lines(self, where: str, value: object) -> None:
        """A setting that is lines of haproxy.cfg."""
        for line in _lines(value):
            if not isinstance(line, str) or not line.strip():
                self.wrong(where, line, "text, or a list of texts: what follows the keyword in haproxy.cfg")
            elif "\n" in line:
                self.wrong(where, line, "one line, or a list with a line each")
            elif line.strip() != line and not where.endswith("extra"):
                self.wrong(where, line, "without spaces around it")

    def text(self, where: str, value: object) -> None:
        """A setting that is a single line, or nothing."""
        if isinstance(value, str) and "\n" in value.strip("\n"):
            self.wrong(where, value, "one line")

    def time(self, where: str, value: object) -> None:
        if not _is_time(value):
            self.wrong(where, value, "a number with its unit (us, ms, s, m, h or d), as '30s', and at most 24d")

    def port(self, where: str, value: object) -> None:
        if not str(value).isdigit() or not 1 <= int(str(value)) <= 65535:
            self.wrong(where, value, "between 1 and 65535")

    def networks(self, where: str, values: Iterable[object]) -> None:
        for value in values:
            try:
                ipaddress.ip_network(str(value), strict=False)
            except ValueError:
                self.wrong(where, value, "an address or a network, as '192.0.2.7' or '192.0.2.0/24'")

    def balance(self, where: str, value: str, mode: str) -> None:
        if not any(re.fullmatch(pattern, value) for pattern in BALANCE.values()):
            names = ", ".join(BALANCE)
            self.wrong(where, value, f"one of {names}, with its arguments if it takes any")
        elif mode == "tcp" and BALANCE_OF_HTTP.match(value):
            self.wrong(
                where, value, "an algorithm that needs no HTTP request, as 'leastconn' or 'source', for the mode is tcp"
            )

    def cookie(self, where: str, value: str) -> None:
        words = value.split()
        if len(words) < 2 or len({"insert", "rewrite", "prefix"} & set(words[1:])) != 1:
            self.wrong(
                where,
                value,
                "a name and one of insert, rewrite and prefix, as 'SERVERID insert indirect nocache httponly'",
            )
        for word, argument in zip(words, [*words[1:], ""], strict=True):
            if word in ("maxidle", "maxlife") and not _is_time(argument):
                self.wrong(f"{word} of {where}", argument, "a number with its unit, as '30m'")

    def httpchk(self, where: str, value: str) -> None:
        if not re.fullmatch(r"[A-Z]+ /\S*( HTTP/1\.[01])?", value):
            self.wrong(where, value, "a method and a path, as 'GET /readyz', or empty for a check of the connection")

    def rate_limit(self, where: str, value: dict[str, t.Any]) -> None:
        requests = value.get("requests", 0)
        if (
            set(value) != {"requests", "period"}
            or not _is_time(value["period"])
            or not str(requests).isdigit()
            or not int(requests)
        ):
            self.wrong(where, value, "{requests: a number above 0, period: a time}, as {requests: 100, period: 10s}")

    def servers(self, where: str, servers: list[Section]) -> None:
        names = [server["name"] for server in servers]
        for name in sorted({name for name in names if names.count(name) > 1}):
            self.wrong(where, names, f"without two servers of one name ({name})")
        for server in servers:
            of = f"of server {server['name']} in {where}"
            if not NAME.fullmatch(str(server["name"])):
                self.wrong(f"name {of}", server["name"], "of letters, digits and _ . : -")
            if not re.fullmatch(r"[A-Za-z0-9_.:-]+", str(server["address"])):
                self.wrong(f"address {of}", server["address"], "an address or a host name")
            self.port(f"port {of}", server["port"])
            if not 0 <= int(server.get("weight", 1)) <= 256:
                self.wrong(f"weight {of}", server["weight"], "between 0 and 256")
            for key in ("maxconn", "maxqueue"):
                if int(server.get(key, 0)) < 0:
                    self.wrong(f"{key} {of}", server[key], "0 or more")
            if server.get("slowstart"):
                self.time(f"slowstart {of}", server["slowstart"])
            for key in ("options", "cookie"):
                self.text(f"{key} {of}", server.get(key, ""))

    def binds(self, where: str, value: object) -> list[str]:
        """Check where a frontend listens; return its addresses."""
        addresses = []
        for line in (line for line in _lines(value) if isinstance(line, str) and line.strip()):
            address = line.split()[0]
            addresses += address.split(",")
            for part in address.split(","):
                if re.match(r"(ipv[46]@|abns@|fd@|unix@|quic[46]@|/)", part):
                    continue
                ports = re.fullmatch(r"\S*:(\d+)(?:-(\d+))?", part)
                if not ports or not all(1 <= int(port) <= 65535 for port in ports.groups() if port):
                    self.wrong(where, line, "an address and a port between 1 and 65535, as '*:80', and its options")
        return addresses

    def section(
        self, path: t.Callable[[str], str], section: Section, lines: tuple[str, ...], texts: tuple[str, ...]
    ) -> str:
        """Check what frontends and backends have in common; return the mode."""
        mode: str = section.get("mode") or self.mode
        for key in lines:
            self.lines(path(key), section.get(key))
        for key in texts:
            self.text(path(key), section.get(key))
        for keyword, value in (section.get("timeout") or {}).items():
            self.time(f"{path('timeout')}: {keyword}", value)
        if mode == "tcp":
            for key in ONLY_HTTP:
                if section.get(key):
                    self.wrong(path(key), section[key], "empty, for the mode is tcp, which knows no requests")
        return mode

    def frontend(self, path: t.Callable[[str], str], section: Section, backends: dict[str, str]) -> list[str]:
        mode = self.section(path, section, LINES_OF_FRONTEND, TEXTS_OF_FRONTEND)
        for line in _lines(section.get("http_request")):
            if str(line).split()[:1] == ["allow"]:
                right = "a line that does not end the rules, for those of X-Forwarded-For come after: 'deny unless …'"
                self.wrong(path("http_request"), line, right)
        self.networks(path("allow"), section.get("allow") or [])
        self.networks(path("deny"), section.get("deny") or [])
        if section.get("rate_limit"):
            self.rate_limit(path("rate_limit"), section["rate_limit"])
            if section.get("stick_table"):
                self.wrong(
                    path("stick_table"), section["stick_table"], "empty, for rate_limit has the frontend's one table"
                )
        targets = [
            (path("use_backend"), line.split()[0]) for line in _lines(section.get("use_backend")) if str(line).strip()
        ]
        if section.get("default_backend"):
            targets.append((path("default_backend"), section["default_backend"]))
        for where, target in targets:
            if "%[" in target:
                continue
            if target not in backends:
                names = ", ".join(backends) or "none, for haproxy_servers and haproxy_backends are empty"
                self.wrong(where, target, f"the name of a backend (there is {names})")
            elif backends[target] != mode:
                self.wrong(
                    where, target, f"a backend of mode {mode}, like the frontend (its mode is {backends[target]})"
                )
        return self.binds(path("bind"), section["bind"])

    def backend(self, path: t.Callable[[str], str], section: Section) -> None:
        mode = self.section(path, section, LINES_OF_BACKEND, TEXTS_OF_BACKEND)
        if section.get("balance"):
            self.balance(path("balance"), str(section["balance"]), mode)
        if section.get("cookie") and mode == "http":
            self.cookie(path("cookie"), str(section["cookie"]))
        if section.get("httpchk"):
            self.httpchk(path("httpchk"), str(section["httpchk"]))
            if section.get("tcp_check"):
                self.wrong(
                    path("tcp_check"),
                    section["tcp_check"],
                    "empty, for httpchk is set, and a backend has one kind of check",
                )
        if section.get("maintenance") and mode == "tcp":
            self.wrong(path("maintenance"), True, "false, for the mode is tcp, which has no pages")
        if (
            section.get("stick")
            and not section.get("stick_table")
            and " table " not in " ".join(map(str, _lines(section["stick"])))
        ):
            self.wrong(path("stick_table"), "", "a table for the lines of stick, as 'type ip size 1m expire 30m'")
        self.servers(path("servers"), section.get("servers") or [])

    def names(self, kind: str, sections: list[Section]) -> None:
        names = [section["name"] for section in sections]
        for name in names:
            if not NAME.fullmatch(str(name)):
                self.wrong(f"name in {kind}", name, "of letters, digits and _ . : -")
            if name in OWN_SECTIONS:
                self.wrong(f"name in {kind}", name, f"another one, for {', '.join(OWN_SECTIONS)} are the role's own")

    def certificates(self) -> None:
        names = []
        for certificate in self.settings.get("haproxy_certificates") or []:
            name = str(certificate["name"])
            names.append(name)
            where = f"certificate {name} of haproxy_certificates"
            if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
                self.problems.append(f"{where} must have a name of letters, digits and _ . -")
            content = certificate.get("content")
            if bool(content) == bool(certificate.get("src")):
                self.problems.append(f"{where} must have one of content and src")
            if content and not ("-----BEGIN CERTIFICATE-----" in content and "PRIVATE KEY-----" in content):
                self.problems.append(f"content of {where} must have a certificate and its private key, each in PEM")
        for name in sorted({name for name in names if names.count(name) > 1}):
            self.problems.append(f"haproxy_certificates must not have two certificates of one name ({name})")

    def stats(self) -> None:
        get = self.settings.get
        self.lines("haproxy_stats_bind", get("haproxy_stats_bind"))
        if get("haproxy_stats_bind"):
            if len(str(get("haproxy_stats_password") or "")) < 12:
                self.problems.append(
                    "haproxy_stats_password must have at least 12 characters where haproxy_stats_bind is set"
                )
            if not re.fullmatch(r"[^:\s]+", str(get("haproxy_stats_user") or "")):
                self.wrong("haproxy_stats_user", get("haproxy_stats_user"), "without spaces and colons, and not empty")

    def process(self) -> None:
        for name, value in self.settings.items():
            if name.startswith("haproxy_timeout_") or name == "haproxy_hard_stop_after":
                self.time(name, value)
            elif name == "haproxy_wait_for_server":
                # Empty: no request waits
                if value:
                    self.time(name, value)
            elif name.endswith("_extra"):
                self.lines(name, value)
            elif name in ("haproxy_maxconn", "haproxy_retries") and int(value) < 0:
                self.wrong(name, value, "0 or more")
            elif name == "haproxy_log_days" and int(value) < 1:
                self.wrong(name, value, "1 or more")
            elif name in ("haproxy_log_format", "haproxy_retry_on") or name.startswith("haproxy_ssl_"):
                self.text(name, value)
        for status in self.settings.get("haproxy_error_pages") or {}:
            if not str(status).isdigit() or int(status) not in ERROR_STATUSES:
                self.wrong("status in haproxy_error_pages", status, f"one of {', '.join(map(str, ERROR_STATUSES))}")

    def check(self) -> list[str]:
        get = self.settings.get
        flat = {name.removeprefix("haproxy_"): value for name, value in self.settings.items()}
        frontends = get("haproxy_frontends") or []
        backends = get("haproxy_backends") or []
        self.names("haproxy_frontends", frontends)
        self.names("haproxy_backends", backends)
        names = [section["name"] for section in (*frontends, *backends)]
        for name in sorted({name for name in names if names.count(name) > 1}):
            self.wrong("name in haproxy_frontends and haproxy_backends", name, "the name of one section only")
        modes = {"app": self.mode} if get("haproxy_servers") else {}
        modes |= {section["name"]: section.get("mode") or self.mode for section in backends}

        listeners: list[tuple[str, str]] = []
        if get("haproxy_bind"):
            keys = (*LINES_OF_FRONTEND, "mode", "allow", "deny", "rate_limit")
            public = {key: flat.get(key) for key in keys}
            if not get("haproxy_servers"):
                self.problems.append(
                    "haproxy_servers has no server; it must have at least one ({name, address, port}), "
                    "or haproxy_bind must be '' because haproxy_frontends has all"
                )
                modes["app"] = self.mode
            addresses = self.frontend(_flat, public | {"bind": get("haproxy_bind"), "default_backend": "app"}, modes)
            listeners += [(address, "haproxy_bind") for address in addresses]
        for section in frontends:
            path = _path("haproxy_frontends", section)
            listeners += [(address, path("bind")) for address in self.frontend(path, section, modes)]
        listeners += [
            (address, "haproxy_stats_bind") for address in self.binds("haproxy_stats_bind", get("haproxy_stats_bind"))
        ]
        seen: dict[str, str] = {}
        for address, where in listeners:
            if address in seen:
                self.wrong(where, address, f"an address that nothing else listens at ({seen[address]} does)")
            seen[address] = where

        keys_of_backend = (*TEXTS_OF_BACKEND, "mode", "stick", "http_check", "maintenance", "servers")
        app = {key: flat.get(key) for key in keys_of_backend}
        self.backend(_flat, app)
        for section in backends:
            self.backend(_path("haproxy_backends", section), section)
        self.certificates()
        self.stats()
        self.process()
        return self.problems


def _flat(key: str) -> str:
    return f"haproxy_{key}"


def _path(variable: str, section: Section) -> t.Callable[[str], str]:
    return lambda key: f"{key} of {section['name']} in {variable}"


def haproxy_problems(settings: dict[str, t.Any]) -> list[str]:
    """Return a sentence for each setting of role haproxy that can't be right; `settings` are its variables by name."""
    return _Checker(settings).check()


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"haproxy_problems": haproxy_problems}
