# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the settings of role haproxy."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterator

from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings import unknown_names
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_names import options_of

WORDS = re.compile(r"\w+")
# Names of the sections that the role makes itself, each where the variable has a value
OWN_SECTIONS = {
    "haproxy_frontends": {"public": "haproxy_bind", "stats": "haproxy_stats_bind"},
    "haproxy_backends": {"app": "haproxy_servers"},
}
# What these sections are made of. Those with a default don't count while they have it
OF_PUBLIC = WORDS.findall(
    "acl allow deny frontend_extra http_after_response http_request http_response rate_limit redirect tcp_request "
    "use_backend"
)
OF_APP = WORDS.findall(
    "backend_extra balance cookie hash_type http_check http_reuse httpchk maintenance stick stick_table"
)
OF_STATS = ["stats_password", "stats_user"]
USUAL = {"balance": "roundrobin", "http_reuse": "safe", "stats_user": "stats"}
NAME = re.compile(r"[A-Za-z0-9_.:-]+")
TIME = re.compile(r"[1-9]\d*(us|ms|s|m|h|d)")
# Sockets that may share an address
SHARING = re.compile(r"\s(interface|namespace|thread|process|transparent)\s")
A_TIME = "a number with its unit (us, ms, s, m, h or d), such as '30s'"
MINIMUM = {"haproxy_maxconn": 0, "haproxy_retries": 0, "haproxy_log_days": 1}
ONLY_HTTP = WORDS.findall(
    "http_request http_response http_after_response redirect rate_limit cookie maintenance http_reuse retry_on"
)
BALANCE_OF_HTTP = re.compile(r"(uri|url_param|hdr)\b")

Section = dict[str, t.Any]
Path = t.Callable[[str], str]


def _lines(value: object) -> list[str]:
    """Return the lines of haproxy.cfg that a setting stands for: text is one, a list is one each."""
    return [str(line) for line in (value if isinstance(value, (list, tuple)) else [value]) if line not in (None, "")]


def _is_time(value: object) -> bool:
    return isinstance(value, str) and TIME.fullmatch(value) is not None


def _is_timeout(value: object) -> bool:
    """HAProxy waits for ever with 0."""
    return value in (0, "0") or _is_time(value)


def _doubles(values: list[str]) -> list[str]:
    return sorted({value for value in values if values.count(value) > 1})


def _wrong(where: str, value: object, right: str) -> str:
    return f"{where} is {value!r}; it must be {right}"


def _several_lines(where: str, value: object) -> Iterator[str]:
    """A line break would begin another directive, which HAProxy could take."""
    if isinstance(value, str) and "\n" in value.strip("\n"):
        yield _wrong(where, value, "one line, or a list with a line each")
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _several_lines(where, one)
    elif isinstance(value, dict):
        for key, one in value.items():
            if key != "extra":
                yield from _several_lines(f"{key} of {where}", one)


def _http(path: Path, section: Section, mode: str) -> Iterator[str]:
    """HAProxy only warns of what mode tcp cannot do, and leaves it out."""
    if mode == "tcp":
        for key in ONLY_HTTP:
            # The one of all backends is for those of mode http
            if section.get(key) and section[key] != USUAL.get(key) and path(key) != "haproxy_retry_on":
                yield _wrong(path(key), section[key], "empty, for mode tcp knows no requests")
        for server in section.get("servers") or []:
            if server.get("cookie"):
                where = f"cookie of server {server['name']} in {path('servers')}"
                yield _wrong(where, server["cookie"], "empty, for mode tcp knows no requests")
        if BALANCE_OF_HTTP.match(str(section.get("balance", ""))):
            right = "an algorithm that needs no HTTP request, such as 'leastconn' or 'source', for the mode is tcp"
            yield _wrong(path("balance"), section["balance"], right)


def _frontend(path: Path, section: Section, backends: list[str]) -> Iterator[str]:
    for line in _lines(section.get("http_request")):
        if line.split()[:1] == ["allow"]:
            right = "a line that does not end the rules, for those of X-Forwarded-For come after it: 'deny unless …'"
            yield _wrong(path("http_request"), line, right)
    limit = section.get("rate_limit")
    if limit and not (
        str(limit.get("requests")).isdigit() and int(limit["requests"]) and _is_time(limit.get("period"))
    ):
        right = "{requests: a number above 0, period: a time}, such as {requests: 100, period: 10s}"
        yield _wrong(path("rate_limit"), limit, right)
    # Of the common case, stick_table is the backend's
    if limit and section.get("stick_table") and path is not _flat:
        right = "empty, for rate_limit is the frontend's only table; put it into a backend of its own"
        yield _wrong(path("stick_table"), section["stick_table"], right)
    for key in ("use_backend", "default_backend"):
        for line in _lines(section.get(key)):
            target = line.split()[0] if line.split() else ""
            if target not in backends and "%[" not in target:
                there = ", ".join(backends) or "none, for haproxy_servers and haproxy_backends are empty"
                yield _wrong(path(key), target, f"the name of a backend (there is {there})")


def _backend(path: Path, section: Section) -> Iterator[str]:
    words = str(section.get("cookie") or "insert").split()
    if not {"insert", "rewrite", "prefix"} & set(words):
        right = "a name and one of insert, rewrite and prefix, such as 'SERVERID insert indirect nocache httponly'"
        yield _wrong(path("cookie"), section["cookie"], right)
    http_checks = [key for key in ("httpchk", "http_check") if section.get(key)]
    if http_checks and section.get("tcp_check"):
        right = f"empty, for {http_checks[0]} is set, and a backend has one kind of check"
        yield _wrong(path("tcp_check"), section["tcp_check"], right)
    for server in section.get("servers") or []:
        if server.get("slowstart") and not _is_time(server["slowstart"]):
            yield _wrong(f"slowstart of server {server['name']} in {path('servers')}", server["slowstart"], A_TIME)


def _dropped(settings: Section) -> Iterator[str]:
    """Nothing of these would be in the file, because the section that they are for is not."""
    for of, keys in (("bind", OF_PUBLIC), ("servers", OF_APP), ("stats_bind", OF_STATS)):
        if settings.get(_flat(of)):
            continue
        for key in keys:
            value = settings.get(_flat(key))
            if value and value != USUAL.get(key):
                yield f"{_flat(key)} has no effect, because {_flat(of)} is empty; set that, or remove {_flat(key)}"


def _names(variable: str, sections: list[Section], settings: Section) -> Iterator[str]:
    names = [str(section["name"]) for section in sections]
    own = [name for name, of in OWN_SECTIONS[variable].items() if settings.get(of)]
    for name in names:
        if not NAME.fullmatch(name):
            yield _wrong(f"name in {variable}", name, "of letters, digits and _ . : -")
        elif name in own:
            yield _wrong(f"name in {variable}", name, f"another one, for the role itself makes {' and '.join(own)}")
    for name in _doubles(names):
        yield f"{variable} must not have two sections of one name ({name})"


def _listeners(binds: list[tuple[str, object]]) -> Iterator[str]:
    """HAProxy would listen twice, and the kernel would choose for each connection."""
    seen: dict[str, str] = {}
    for where, value in binds:
        lines = [line for line in _lines(value) if not SHARING.search(line)]
        for address in [address for line in lines for address in (line.split() or [""])[0].split(",")]:
            if address in seen:
                yield _wrong(where, address, f"an address that nothing else listens at ({seen[address]} does)")
            seen[address] = where


def _times(settings: Section) -> Iterator[str]:
    """HAProxy takes a number without a unit for milliseconds."""
    for name, value in settings.items():
        may_be = name.startswith("haproxy_timeout_") or (name == "haproxy_wait_for_server" and value)
        if (may_be and not _is_timeout(value)) or (name == "haproxy_hard_stop_after" and not _is_time(value)):
            yield _wrong(name, value, A_TIME)


def _certificates(certificates: list[Section]) -> Iterator[str]:
    names = [str(certificate["name"]) for certificate in certificates]
    for name, certificate in zip(names, certificates, strict=True):
        where = f"certificate {name} of haproxy_certificates"
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
            yield f"{where} must have a name of letters, digits and _ . -"
        if bool(certificate.get("content")) == bool(certificate.get("src")):
            yield f"{where} must have one of content and src"
    for name in _doubles(names):
        yield f"haproxy_certificates must not have two certificates of one name ({name})"


def _files(files: list[Section]) -> Iterator[str]:
    names = [str(file["name"]) for file in files]
    part = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
    for name, file in zip(names, files, strict=True):
        where = f"file {name} of haproxy_files"
        if not re.fullmatch(rf"{part}(/{part})*", name):
            yield f"{where} must have a name of letters, digits and _ . -, such as hosts.map or maps/hosts.map"
        if (file.get("content") is not None) == bool(file.get("src")):
            yield f"{where} must have one of content and src"
        if any(other.startswith(f"{name}/") for other in names):
            yield f"{where} must have another name, for that is the folder of another file"
    for name in _doubles(names):
        yield f"haproxy_files must not have two files of one name ({name})"


def _stats(settings: Section) -> Iterator[str]:
    if settings.get("haproxy_stats_bind"):
        if len(str(settings.get("haproxy_stats_password") or "")) < 12:
            yield "haproxy_stats_password must have at least 12 characters if haproxy_stats_bind is set"
        user = settings.get("haproxy_stats_user")
        if not re.fullmatch(r"[^:\s]+", str(user or "")):
            yield _wrong("haproxy_stats_user", user, "without spaces and colons, and not empty")


def _pages(pages: dict[str, str]) -> Iterator[str]:
    for name, text in pages.items():
        if len(text.encode()) >= 15000:
            yield f"{name} must have less than 15,000 bytes, for HAProxy sends a page from its buffer of 16 KiB"


def _problems(settings: Section) -> Iterator[str]:
    mode = settings.get("haproxy_mode", "http")
    frontends: list[Section] = settings.get("haproxy_frontends") or []
    backends: list[Section] = settings.get("haproxy_backends") or []
    yield from unknown_names(settings, "haproxy", options_of("haproxy"))
    extra = "\n".join(_lines(settings.get("haproxy_extra")))
    targets = ["app"] if settings.get("haproxy_servers") else []
    targets += [str(section["name"]) for section in backends]
    targets += re.findall(r"^\s*(?:backend|listen)\s+(\S+)", extra, re.MULTILINE)
    flat = {name.removeprefix("haproxy_"): value for name, value in settings.items()}
    if settings.get("haproxy_bind") and "app" not in targets:
        yield (
            "haproxy_servers has no server; it must have at least one ({name, address, port}), "
            "or haproxy_bind must be '' because haproxy_frontends has all"
        )
    yield from _http(_flat, flat, mode)
    yield from _frontend(_flat, flat, targets)
    yield from _backend(_flat, flat)
    binds = [("haproxy_bind", settings.get("haproxy_bind"))]
    for variable, sections in (("haproxy_frontends", frontends), ("haproxy_backends", backends)):
        yield from _names(variable, sections, settings)
        for section in sections:
            path = _path(variable, section)
            yield from _http(path, section, section.get("mode") or mode)
            for keyword, value in (section.get("timeout") or {}).items():
                if not _is_timeout(value):
                    yield _wrong(f"{path('timeout')}: {keyword}", value, A_TIME)
            if sections is frontends:
                yield from _frontend(path, section, targets)
                binds.append((path("bind"), section["bind"]))
            else:
                yield from _backend(path, section)

    yield from _dropped(settings)
    modes = [mode] * bool(settings.get("haproxy_bind")) + [section.get("mode") or mode for section in frontends]
    if settings.get("haproxy_trusted_proxies") and "http" not in modes:
        right = "empty, for no frontend has mode http, and others see only the proxy's address"
        yield _wrong("haproxy_trusted_proxies", settings["haproxy_trusted_proxies"], right)
    yield from _listeners([*binds, ("haproxy_stats_bind", settings.get("haproxy_stats_bind"))])
    yield from _times(settings)
    yield from _certificates(settings.get("haproxy_certificates") or [])
    yield from _files(settings.get("haproxy_files") or [])
    yield from _stats(settings)
    for name, value in settings.items():
        if name in MINIMUM and int(value) < MINIMUM[name]:
            yield _wrong(name, value, f"{MINIMUM[name]} or more")
        elif not name.endswith(("_extra", "_certificates", "_files", "_password")):
            yield from _several_lines(name, value)


def _flat(key: str) -> str:
    return f"haproxy_{key}"


def _path(variable: str, section: Section) -> Path:
    return lambda key: f"{key} of {section['name']} in {variable}"


def haproxy_problems(settings: dict[str, t.Any], pages: dict[str, str] | None = None) -> list[str]:
    """Return a sentence for each wrong setting of role haproxy; `settings` are its variables, `pages` texts by name."""
    return [*_problems(settings), *_pages(pages or {})]
