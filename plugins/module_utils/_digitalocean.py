# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: the one client of the DigitalOcean API.
# It raises ApiError and nothing else; the caller decides what follows.
# "API, Rate Limit" and the like in the docstrings name sections of https://docs.digitalocean.com/reference/api/digitalocean/

from __future__ import annotations

import dataclasses
import functools
import gzip
import http.client
import ipaddress
import json
import socket
import ssl
import time
import typing as t
import zlib
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from urllib.error import HTTPError, URLError
from urllib.parse import parse_qsl, urlencode, urlsplit

from ansible.module_utils.urls import ConnectionError as UrlsConnectionError
from ansible.module_utils.urls import Request, make_context

Item = dict[str, t.Any]

DEFAULT_URL = "https://api.digitalocean.com/v2"
TOKEN_VARIABLES = ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN", "DO_API_TOKEN")
URL_VARIABLES = ("DIGITALOCEAN_API_URL",)

# The API's own upper limit, and the longest that a full minute's rate limit can last
MAX_PAGE_SIZE = 200
MAX_RATE_LIMIT_WAIT = 60.0
MAX_BACKOFF = 8.0
# After this many attempts, a list that keeps changing while it is read is taken as it is
MAX_LISTINGS = 3

# What a token needs for each request of the collection, by method and path, as the official OpenAPI description says
_SCOPES = {
    ("GET", "/droplets"): ("droplet:read",),
    ("POST", "/droplets"): ("droplet:create", "tag:create", "ssh_key:read", "image:read", "vpc:read"),
    ("DELETE", "/droplets"): ("droplet:delete",),
    ("GET", "/tags"): ("tag:read",),
    ("POST", "/tags"): ("tag:create",),
    ("POST", "/tags/resources"): ("tag:create", "droplet:update"),
    ("GET", "/account/keys"): ("ssh_key:read",),
    ("GET", "/reserved_ips"): ("reserved_ip:read",),
}
# A list of droplets by tag needs this, too, and so does their field tags
TAG_SCOPE = "tag:read"

_HINTS = {
    401: "the token was refused; check that api_token is complete and still valid",
    404: "not found; check api_url, which ends in /v2 for DigitalOcean",
}


class ApiError(Exception):
    """What went wrong and what to do, in one line and without the token.

    `status` is the HTTP status, or None if no answer came.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(" ".join(message.split()))
        self.status = status


@dataclasses.dataclass
class _Answer:
    status: int
    headers: Message
    body: bytes


@dataclasses.dataclass
class _Page:
    """A page of a list: `total` counts the items of all pages, `following` is the query of the next page, `last` is the
    number of the last one, and `remaining` is how many more requests this token may send. Each but `last`, which is
    then 1, is None if the API doesn't say."""

    items: list[Item]
    total: int | None
    following: dict[str, str] | None
    last: int
    remaining: int | None


@dataclasses.dataclass(frozen=True)
class Client:
    """The API for one account, on Ansible's own HTTP client, which looks for proxies and CA files in the usual places.

    Args:
        token: Goes into the header Authorization, and nowhere else (API, Authentication).
        url: The API's URL, up to /v2. Plain HTTP is for loopback only.
        timeout: Seconds until a silent connection is given up.
        retries: How often a request is sent again after 429, after a status of 500 or more, or without an answer. The
            pause doubles from 0.5 to 8 s, unless a 429 says how long to wait; it is ten times as long where a 429 comes
            with requests left (API, Rate Limit).
        max_wait: Seconds that a 429 may ask for; after one that asks for more, the request fails.
        validate_certs: Whether the API's certificate must be trusted.
        sleep: Waits for the given number of seconds.
        now: Seconds since the epoch, as in the header ratelimit-reset.

    Raises:
        ApiError: If the token can't be one, or must not be sent to the URL.
    """

    token: str = dataclasses.field(repr=False)
    url: str = DEFAULT_URL
    timeout: float = 30.0
    retries: int = 4
    max_wait: float = MAX_RATE_LIMIT_WAIT
    validate_certs: bool = True
    sleep: t.Callable[[float], None] = dataclasses.field(default=time.sleep, repr=False)
    now: t.Callable[[], float] = dataclasses.field(default=time.time, repr=False)

    def __post_init__(self) -> None:
        _check_token(self.token)
        _check_url(self.url)

    def get(self, path: str, query: t.Mapping[str, t.Any] | None = None) -> Item:
        """The object at a path below the URL, such as /droplets/3164494.

        Raises:
            ApiError: If there is no answer after all retries, or the answer is not the object.
        """
        return self._request("GET", path, query=query)

    def post(self, path: str, body: Item, *, idempotent: bool = False) -> Item:
        """The API's answer to the body; an empty object if the answer is empty.

        With `idempotent`, the request is sent again even if a failed attempt may have been carried out.

        Raises:
            ApiError: As for get(). Nothing was carried out if its status is between 400 and 499.
        """
        return self._request("POST", path, body=body, idempotent=idempotent)

    def delete(self, path: str) -> bool:
        """Remove the object at a path; False if it was already gone.

        Raises:
            ApiError: As for get().
        """
        try:
            self._request("DELETE", path)
        except ApiError as error:
            if error.status != 404:
                raise
            return False
        return True

    def list_all(
        self,
        path: str,
        key: str,
        query: t.Mapping[str, t.Any] | None = None,
        *,
        identity: str = "id",
        page_size: int = MAX_PAGE_SIZE,
        workers: int = 1,
    ) -> list[Item]:
        """All items of a list, each once, in no particular order (API, Links & Pagination).

        The first page says how many there are; the other pages are then requested at once.

        Args:
            path: Below the URL, such as /droplets.
            key: The list's name in the answer, such as droplets.
            query: Filters, such as tag_name.
            identity: The field that identifies an item.
            page_size: Items per page, 1 to 200.
            workers: The most requests at a time. There are never more than the API still allows.

        Raises:
            ApiError: As for get(), and if an answer is not such a list.
        """
        found: dict[t.Any, Item] = {}
        before: set[t.Any] = set()
        base = {**(query or {}), "per_page": page_size}
        for _attempt in range(MAX_LISTINGS):
            pages = self._pages(path, key, base, workers, identity)
            listing = {item[identity]: item for page in pages for item in page.items}
            # Pages shift if an item comes or goes while they are read; then the number is off, or the totals disagree
            totals = {page.total for page in pages}
            # Or the total counts what a filter leaves out
            if totals in ({None}, {len(listing)}) or (len(totals) == 1 and before == set(listing)):
                return list(listing.values())
            found.update(listing)
            before = set(listing)
        return list(found.values())

    def _pages(self, path: str, key: str, query: Item, workers: int, identity: str) -> list[_Page]:
        def read(number: int) -> _Page:
            return self._page(path, key, {**query, "page": number}, identity)

        first = read(1)
        pages = [first]
        if first.items:
            numbers = range(2, first.last + 1)
            allowed = len(numbers) if first.remaining is None else max(0, first.remaining)
            with ThreadPoolExecutor(max_workers=workers) as pool:
                pages += pool.map(read, numbers[:allowed])
            # Each of these is refused until the API accepts one more, and waits for that
            pages += map(read, numbers[allowed:])
        seen = [query]
        while (following := pages[-1].following) and following not in seen:
            seen.append(following)
            # The API doesn't document whether `next` repeats the filters, so ours stay unless it does
            pages.append(self._page(path, key, {**query, **following}, identity))
        return pages

    def _page(self, path: str, key: str, query: Item, identity: str) -> _Page:
        answer = self._answer("GET", path, query=query)
        parsed = self._parse("GET", path, answer)
        items = parsed.get(key)
        if not isinstance(items, list) or not all(isinstance(item, dict) and identity in item for item in items):
            raise self._error("GET", path, f"the answer has no list of {key}; check api_url", answer.status)
        remaining = _number(answer.headers.get("ratelimit-remaining"))
        return _Page(
            items, _total(parsed), _next_query(parsed), _last(parsed), None if remaining is None else int(remaining)
        )

    def _request(self, method: str, path: str, **options: t.Any) -> Item:
        return self._parse(method, path, self._answer(method, path, **options))

    def _answer(
        self,
        method: str,
        path: str,
        *,
        query: t.Mapping[str, t.Any] | None = None,
        body: Item | None = None,
        idempotent: bool = True,
    ) -> _Answer:
        attempt = 0
        while True:
            pause = min(MAX_BACKOFF, 0.5 * 2**attempt)
            try:
                answer = self._send(method, path, query, body)
            except ApiError:
                if not idempotent or attempt >= self.retries:
                    raise
            else:
                if answer.status < 300:
                    return answer
                if answer.status == 429:
                    # Nothing was carried out, so any method may be repeated
                    pause = self._rate_limit_wait(answer.headers, pause)
                    may_wait = pause <= self.max_wait
                else:
                    may_wait = idempotent and answer.status >= 500
                if not may_wait or attempt >= self.retries:
                    raise self._refusal(method, path, query, answer, pause)
            self.sleep(pause)
            attempt += 1

    @functools.cached_property
    def _tls(self) -> ssl.SSLContext:
        # Reading the machine's certificates takes longer than many an answer, so do it once
        context: ssl.SSLContext = make_context(validate_certs=self.validate_certs)
        return context

    def _send(self, method: str, path: str, query: t.Mapping[str, t.Any] | None, body: Item | None) -> _Answer:
        url = self.url.rstrip("/") + path + ("?" + urlencode(query) if query else "")
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json", "Accept-Encoding": "gzip"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            with Request().open(
                method,
                url,
                headers=headers,
                data=None if body is None else json.dumps(body).encode(),
                timeout=self.timeout,
                context=self._tls,
                http_agent="alphacoder.scaleout",
                # Each of these could carry the token to somebody else
                follow_redirects="none",
                use_netrc=False,
                use_proxy=urlsplit(url).scheme == "https",
            ) as response:
                return _Answer(response.status, response.headers, response.read())
        except HTTPError as error:
            with error:
                return _Answer(error.code, error.headers, _read_quietly(error))
        except (OSError, EOFError, zlib.error, http.client.HTTPException, UrlsConnectionError) as error:
            raise self._error(method, path, self._no_answer(error)) from None

    def _no_answer(self, error: Exception) -> str:
        where = urlsplit(self.url).netloc
        reason = error.reason if isinstance(error, URLError) else error
        if isinstance(reason, TimeoutError):
            return f"no answer from {where} within {self.timeout:g} s; check that it is reachable, or raise timeout"
        if isinstance(reason, socket.gaierror):
            return f"the host name in {where} can't be resolved; check api_url and this machine's DNS"
        if isinstance(reason, ConnectionRefusedError):
            return f"{where} refused the connection; check api_url and what listens there"
        if isinstance(reason, ssl.SSLCertVerificationError):
            return f"the certificate of {where} is not trusted: {reason}"
        return f"no answer from {where}: {reason or type(reason).__name__}"

    def _parse(self, method: str, path: str, answer: _Answer) -> Item:
        if answer.status == 204 or not answer.body.strip():
            return {}
        try:
            parsed = json.loads(answer.body)
        except ValueError:
            raise self._error(
                method,
                path,
                "the answer is not JSON; check api_url, and whether a proxy answers instead",
                answer.status,
            ) from None
        if not isinstance(parsed, dict):
            raise self._error(method, path, "the answer is JSON, but not an object; check api_url", answer.status)
        return parsed

    def _rate_limit_wait(self, headers: Message, otherwise: float) -> float:
        # Only the limit per minute sends retry-after; the one per hour says when the oldest request expires
        after = _number(headers.get("retry-after"))
        if after is not None:
            return max(after, 0.0)
        reset = _number(headers.get("ratelimit-reset"))
        if _number(headers.get("ratelimit-remaining")):
            # The path has a limit of its own, a minute long; the reset is that of the hour
            return 10 * otherwise
        if reset is not None:
            return max(reset - self.now(), otherwise)
        return otherwise

    def _refusal(
        self, method: str, path: str, query: t.Mapping[str, t.Any] | None, answer: _Answer, pause: float
    ) -> ApiError:
        try:
            parsed = json.loads(answer.body)
        except ValueError:
            parsed = {}
        said = (parsed.get("message") or parsed.get("error") or "") if isinstance(parsed, dict) else ""
        text = f"status {answer.status}" + (f" ({said})" if said else "")
        if answer.status == 429:
            text += f": rate limit reached, try again in {pause:.0f} s"
        elif answer.status == 403:
            scopes = scopes_of(method, path, query)
            give = f"give it the scope{'s' if len(scopes) > 1 else ''} {' and '.join(scopes)}"
            text += f": the token may not do this; {give if scopes else 'use one that may'}"
        elif answer.status in _HINTS:
            text += f": {_HINTS[answer.status]}"
        elif answer.status < 400:
            text += ": a redirect, which would send the token elsewhere; check api_url"
        elif answer.status >= 500:
            text += ": the server has a problem; try again later"
        # DigitalOcean's support asks for it
        if request := answer.headers.get("x-request-id"):
            text += f" (request {request})"
        return self._error(method, path, text, answer.status)

    def _error(self, method: str, path: str, text: str, status: int | None = None) -> ApiError:
        # A server may echo what it was sent
        return ApiError(f"DigitalOcean API, {method} {path}: {text}".replace(self.token, "***"), status)


def droplet_facts(droplet: Item, reserved: t.Container[str] = ()) -> Item:
    """What the collection uses of a droplet, under its own names.

    An address is None until the droplet has one. `reserved` are the account's reserved addresses, which are not the
    droplet's own (API, Droplets and Reserved IPs).

    Raises:
        ApiError: If the droplet is not as the API documents it.
    """
    try:
        return _droplet_facts(droplet, reserved)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise _no_droplet(droplet) from None


def _droplet_facts(droplet: Item, reserved: t.Container[str]) -> Item:
    networks = droplet.get("networks") or {}
    v4, v6 = networks.get("v4") or [], networks.get("v6") or []
    image = droplet.get("image") or {}
    return {
        "id": int(droplet["id"]),
        "name": str(droplet.get("name") or droplet["id"]),
        "status": droplet.get("status"),
        "region": (droplet.get("region") or {}).get("slug"),
        "size": droplet.get("size_slug") or (droplet.get("size") or {}).get("slug"),
        "image": image.get("slug") or image.get("id"),
        "tags": [tag for tag in droplet.get("tags") or [] if tag and isinstance(tag, str)],
        "vpc_uuid": droplet.get("vpc_uuid"),
        "public_ipv4": _address(v4, "public", reserved),
        "private_ipv4": _address(v4, "private"),
        "public_ipv6": _address(v6, "public"),
        "created_at": droplet.get("created_at"),
    }


def public_ipv4s(droplet: Item) -> list[str]:
    """The public addresses of a droplet, including its reserved one, in no promised order.

    Raises:
        ApiError: As for droplet_facts().
    """
    try:
        networks = droplet.get("networks") or {}
        v4 = networks.get("v4") or []
        return [entry["ip_address"] for entry in v4 if entry.get("type") == "public" and entry.get("ip_address")]
    except (AttributeError, KeyError, TypeError):
        raise _no_droplet(droplet) from None


def reserved_ipv4s(client: Client, warn: t.Callable[[str], None]) -> list[str]:
    """The account's reserved addresses (API, Reserved IPs); none, and a warning, if the token may not read them.

    Raises:
        ApiError: As for Client.get().
    """
    try:
        return [entry["ip"] for entry in client.list_all("/reserved_ips", "reserved_ips", identity="ip")]
    except ApiError as error:
        if error.status != 403:
            raise
        # Both addresses lead to the droplet, so there is no reason to fail
        warn(
            "The token may not read reserved IPs, so the public_ipv4 of a droplet with a reserved IP may be that IP: "
            "give the token the scope reserved_ip:read."
        )
        return []


def _no_droplet(droplet: Item) -> ApiError:
    which = f"{droplet.get('name')} (id {droplet.get('id')})"
    return ApiError(f"DigitalOcean API: droplet {which} is not as the API documents it; check api_url")


def _address(entries: list[Item], kind: str, without: t.Container[str] = ()) -> str | None:
    # The API promises no order: the private address may come first
    for entry in entries:
        if entry.get("type") == kind and entry.get("ip_address") and entry["ip_address"] not in without:
            return str(entry["ip_address"])
    return None


def _check_token(token: str) -> None:
    if not token or not token.strip():
        raise ApiError(
            "No DigitalOcean API token: set the environment variable "
            f"{TOKEN_VARIABLES[0]} (or {' or '.join(TOKEN_VARIABLES[1:])}), or the option api_token."
        )
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ApiError("The DigitalOcean API token has a space, a line break or another character that no token has.")


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or parts.username or parts.query or parts.fragment:
        raise ApiError(f"api_url must be like {DEFAULT_URL}: a scheme, a host and a path, and nothing else.")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ApiError(f"api_url is plain HTTP to {host}, which would send the token unencrypted: use https.")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None


def _total(page: Item) -> int | None:
    total = (page.get("meta") or {}).get("total")
    return total if isinstance(total, int) else None


def _last(page: Item) -> int:
    last = ((page.get("links") or {}).get("pages") or {}).get("last")
    number = dict(parse_qsl(urlsplit(last).query)).get("page", "") if last else ""
    return int(number) if number.isdecimal() else 1


def scopes_of(method: str, path: str, query: t.Mapping[str, t.Any] | None) -> list[str]:
    """The scopes that a token needs for a request of the collection; none if they are not known."""
    parts = path.split("/")
    known = "/tags/resources" if parts[-1] == "resources" else "/account/keys" if "keys" in parts else f"/{parts[1]}"
    return [*_SCOPES.get((method, known), ()), *([TAG_SCOPE] if "tag_name" in (query or {}) else [])]


def _next_query(page: Item) -> dict[str, str] | None:
    # With one page, all of these occur: no links, links: {}, links: {pages: {}}
    following = ((page.get("links") or {}).get("pages") or {}).get("next")
    # Only its query counts: the token goes to api_url and nowhere else
    return dict(parse_qsl(urlsplit(following).query)) if following else None


def _read_quietly(response: HTTPError) -> bytes:
    try:
        body = response.read()
        # Ansible's client unpacks answers, but not error answers
        return gzip.decompress(body) if response.headers.get("content-encoding") == "gzip" else body
    except (OSError, EOFError, zlib.error, http.client.HTTPException):
        return b""
