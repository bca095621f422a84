# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the settings of role haproxy."""

from __future__ import annotations

import difflib
import ipaddress
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
    "acl allow default_backend deny frontend_extra http_after_response http_request http_response rate_limit redirect "
    "tcp_request use_backend"
)
OF_APP = WORDS.findall(
    "backend_extra balance cookie hash_type http_check http_reuse httpchk maintenance stick stick_table"
)
OF_STATS = ["stats_password", "stats_user"]
USUAL = {"balance": "roundrobin", "default_backend": "app", "http_reuse": "safe", "stats_user": "stats"}
NAME = re.compile(r"[A-Za-z0-9_.:-]+")
TIME = re.compile(r"[1-9]\d*(us|ms|s|m|h|d)")
# Sockets that may share an address
SHARING = re.compile(r"\s(interface|namespace|thread|process|transparent)\s")
A_TIME = "a number with its unit (us, ms, s, m, h or d), such as '30s'"
MINIMUM = {"haproxy_maxconn": 0, "haproxy_retries": 0, "haproxy_log_days": 1}
ONLY_HTTP = WORDS.findall(
    "http_request http_response http_after_response redirect rate_limit cookie maintenance http_reuse retry_on"
)
# Algorithms, and what a server line says of checks and load: words for which others are meant that HAProxy names badly
ALGORITHMS = re.findall(
    r"[\w-]+",
    "first hash hdr leastconn log-hash log-sticky none random rdp-cookie roundrobin source static-rr sticky uri "
    "url_param",
)
OF_SERVERS = WORDS.findall("downinter fall fastinter inter maxconn maxqueue rise slowstart weight")
HOST = re.compile(r"localhost|([\w-]+\.)+[A-Za-z][\w-]*", re.ASCII)
# Timeouts that HAProxy ignores in a section, with a warning
NOT_OF_FRONTENDS = WORDS.findall("check connect queue server server_fin tunnel")
NOT_OF_BACKENDS = WORDS.findall("client client_fin")
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


def _addresses(where: str, addresses: t.Any) -> Iterator[str]:
    """HAProxy says it, too, but when the app has been changed already."""
    for entry in addresses or []:
        # -f has a file of addresses
        wrong = [] if str(entry).startswith("-") else [word for word in str(entry).split() if not _is_address(word)]
        for word in wrong:
            right = "an address or a network, such as '192.0.2.0/24'; for everyone, '0.0.0.0/0' and '::/0'"
            yield _wrong(where, word, right)


def _is_address(text: str) -> bool:
    address, slash, mask = text.partition("/")
    # 10/8 is 10.0.0.0/8
    if re.fullmatch(r"\d+(\.\d+){0,2}", address):
        address += ".0" * (3 - address.count("."))
    try:
        ipaddress.ip_network(address + slash + mask, strict=False)
    except ValueError:
        return HOST.fullmatch(text) is not None
    return True


def _words(path: Path, section: Section) -> Iterator[str]:
    """A slip of the pen, which HAProxy would find when the app has been changed already. All else is HAProxy's."""
    balance = str(section.get("balance") or "")
    if near := _slip(re.split(r"[\s(]", balance)[0], ALGORITHMS):
        yield _wrong(path("balance"), balance, f"an algorithm of HAProxy; did you mean {near}?")
    lines = [(path("default_server"), section.get("default_server"))]
    for server in section.get("servers") or []:
        lines.append((f"options of server {server['name']} in {path('servers')}", server.get("options")))
    for where, line in lines:
        for word in str(line or "").split():
            if near := _slip(word, OF_SERVERS):
                yield _wrong(where, line, f"words of a server line; {word} is none, did you mean {near}?")


def _slip(word: str, words: list[str]) -> str:
    return "" if word in words else next(iter(difflib.get_close_matches(word, words, 1, 0.8)), "")


def _timeouts(path: Path, section: Section, settings: Section, ignored: list[str], mode: str) -> Iterator[str]:
    """What HAProxy leaves out, with or without a warning."""
    timeouts = section.get("timeout") or {}
    for keyword, value in timeouts.items():
        if not _is_timeout(value):
            yield _wrong(f"{path('timeout')}: {keyword}", value, A_TIME)
        if keyword.replace("-", "_") in ignored:
            of = "frontend" if ignored is NOT_OF_BACKENDS else "backend"
            yield f"{path('timeout')}: {keyword} has no effect there, for it is of a {of}; move it to one"
    tunnel = timeouts.get("tunnel", settings.get("haproxy_timeout_tunnel", "1h"))
    if mode == "tcp" and tunnel not in (0, "0") and not _begins_later(section):
        for keyword in sorted({"client", "server"} & timeouts.keys() - set(ignored)):
            yield f"{path('timeout')}: {keyword} has no effect in mode tcp; set tunnel in timeout of the backend"


def _begins_later(section: Section) -> bool:
    """Whether a client first shakes hands, or its first bytes are looked at: timeout client holds until then."""
    bind = " ".join(_lines(section.get("bind")))
    return re.search(r"\b(ssl|accept-proxy)\b", bind) is not None or bool(section.get("tcp_request"))


def _frontend(path: Path, section: Section, backends: list[str]) -> Iterator[str]:
    for key in ("allow", "deny"):
        yield from _addresses(path(key), section.get(key))
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
    yield from _words(path, section)
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
            # The playbooks set it for all backends
            elsewhere = key == "maintenance" and any(one.get(key) for one in settings.get("haproxy_backends") or [])
            if value and value != USUAL.get(key) and not elsewhere:
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


def _shared_names(frontends: list[Section], backends: list[Section], settings: Section) -> Iterator[str]:
    """HAProxy refuses it from 3.3 on, so that an upgrade would end with a load balancer that does not start."""
    own = {
        variable: [name for name, of in OWN_SECTIONS[variable].items() if settings.get(of)] for variable in OWN_SECTIONS
    }
    for variable, sections, others in (
        ("haproxy_frontends", frontends, own["haproxy_backends"]),
        ("haproxy_backends", backends, [str(one["name"]) for one in frontends] + own["haproxy_frontends"]),
    ):
        for section in sections:
            if str(section["name"]) in others:
                of = "frontend" if sections is backends else "backend"
                yield _wrong(f"name in {variable}", section["name"], f"another one, for a {of} has it")


def _tcp_timeouts(settings: Section, frontends: list[Section], modes: list[str]) -> Iterator[str]:
    if settings.get("haproxy_timeout_tunnel") in (0, "0") or "http" in modes or any(map(_begins_later, frontends)):
        return
    for name in ("haproxy_timeout_client", "haproxy_timeout_server"):
        if name in settings and settings[name] != options_of("haproxy")[name]["default"]:
            yield f"{name} has no effect, for all is in mode tcp; set haproxy_timeout_tunnel instead"


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
    # The frontend is not there, or has nothing to send requests to
    if not settings.get("haproxy_bind") or (flat.get("default_backend", "app") == "app" and "app" not in targets):
        flat.pop("default_backend", None)
        if settings.get("haproxy_bind"):
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
            ignored = NOT_OF_FRONTENDS if sections is frontends else NOT_OF_BACKENDS
            yield from _timeouts(path, section, settings, ignored, section.get("mode") or mode)
            if sections is frontends:
                yield from _frontend(path, section, targets)
                binds.append((path("bind"), section["bind"]))
            else:
                yield from _backend(path, section)

    yield from _shared_names(frontends, backends, settings)
    yield from _dropped(settings)
    modes = [mode] * bool(settings.get("haproxy_bind")) + [section.get("mode") or mode for section in frontends]
    if settings.get("haproxy_trusted_proxies") and "http" not in modes:
        right = "empty, for no frontend has mode http, and others see only the proxy's address"
        yield _wrong("haproxy_trusted_proxies", settings["haproxy_trusted_proxies"], right)
    yield from _addresses("haproxy_trusted_proxies", settings.get("haproxy_trusted_proxies"))
    yield from _tcp_timeouts(
        settings, [flat, *frontends], modes + [section.get("mode") or mode for section in backends]
    )
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
