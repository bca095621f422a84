# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A DigitalOcean API on loopback for the plugins' tests: what it holds is set by the test, and how it misbehaves."""

from __future__ import annotations

import json
import re
import socket
import threading
import typing as t
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

Item = dict[str, t.Any]

TOKEN = "dop_v1_3f2a9c"


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    body: t.Any
    headers: dict[str, str]


@dataclass
class Reply:
    """An answer in place of the API's own; body may be text or bytes, to be no JSON."""

    status: int = 200
    body: t.Any = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0


def error(status: int, message: str = "no", **headers: str) -> Reply:
    # The id is one that no client may rely on
    body = {"id": f"Id Of {status}", "message": message}
    return Reply(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


def droplet(number: int, name: str | None = None, **changes: t.Any) -> Item:
    made: Item = {
        "id": number,
        "name": name or f"app-{number}",
        "status": "active",
        "created_at": "2026-07-21T16:38:02Z",
        "size_slug": "s-1vcpu-1gb",
        "vcpus": 1,
        "image": {"id": 7, "slug": "debian-13-x64"},
        "region": {"slug": "fra1", "name": "Frankfurt 1"},
        "tags": ["scaleout"],
        "vpc_uuid": "5a4981aa-9653-4bd1-bef5-d6bff52042e4",
        # The private address comes first, as the API's own example has it
        "networks": networks(f"203.0.113.{number % 250}", f"10.114.0.{number % 250}"),
    }
    made.update(changes)
    return made


def networks(public: str | None = None, private: str | None = None, ipv6: str | None = None, *more: str) -> Item:
    v4 = [{"ip_address": private, "type": "private"}] if private else []
    v4 += [{"ip_address": one, "type": "public"} for one in (public, *more) if one]
    return {"v4": v4, "v6": [{"ip_address": ipv6, "type": "public", "netmask": 64}] if ipv6 else []}


class FakeApi:
    def __init__(self) -> None:
        self.droplets: list[Item] = []
        self.keys: list[Item] = [{"id": 11, "name": "laptop", "fingerprint": "aa:bb"}]
        self.reserved_ips: list[Item] = []
        # By droplet
        self.actions: dict[int, list[Item]] = {}
        self.requests: list[Request] = []
        # Answers that come before the API's own, in order; with a key they wait for that "METHOD /path"
        self.replies: list[Reply] = []
        self.replies_to: dict[str, list[Reply]] = {}
        # Whether tag_name and name narrow the list of droplets
        self.narrows = True
        # What `links` is where there is one page
        self.no_links: Item = {"links": {}}
        # Sent with each answer
        self.headers: dict[str, str] = {}
        # Called before a page of droplets is made, with its number
        self.before_page: t.Callable[[int], None] = lambda page: None
        # How often a new droplet is asked for until it is listed, and until it is active with an address
        self.polls_until_listed = 0
        self.polls_until_active = 0
        self.new_address: str | None = "127.0.0.1"
        self._lists = 0
        self._polls: dict[int, int] = {}
        self._hidden_until: dict[int, int] = {}
        self._lock = threading.RLock()

        api = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                api._handle(self)

            do_GET = do_POST = do_DELETE = do_PUT = handle_any

            def log_message(self, *args: t.Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v2"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def calls(self, method: str, path: str = "") -> list[Request]:
        return [one for one in self.requests if one.method == method and re.fullmatch(path or ".*", one.path)]

    def changes(self) -> list[Request]:
        return [one for one in self.requests if one.method != "GET"]

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        raw = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        request = Request(
            handler.command,
            parts.path.removeprefix("/v2"),
            dict(parse_qsl(parts.query)),
            json.loads(raw) if raw else None,
            {name.lower(): value for name, value in handler.headers.items()},
        )
        with self._lock:
            self.requests.append(request)
            waiting = self.replies_to.get(f"{request.method} {request.path}") or self.replies
            reply = waiting.pop(0) if waiting else self._own(request)
        if reply.delay:
            threading.Event().wait(reply.delay)
        body = reply.body if isinstance(reply.body, str | bytes) else json.dumps(reply.body)
        try:
            handler.send_response(reply.status)
            for name, value in {**self.headers, **reply.headers}.items():
                handler.send_header(name, value)
            handler.send_header("content-type", "application/json")
            sent = b"" if reply.status == 204 else body.encode() if isinstance(body, str) else body
            handler.send_header("content-length", str(len(sent)))
            handler.end_headers()
            handler.wfile.write(sent)
        except OSError:
            pass

    def _own(self, request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return error(401, "Unable to authenticate you.")
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["droplets"]:
                return self._list_droplets(request)
            case "GET", ["account", "keys"]:
                return self._page("ssh_keys", self.keys, request)
            case "GET", ["reserved_ips"]:
                return self._page("reserved_ips", self.reserved_ips, request)
            case "GET", ["droplets", number]:
                found = self._find(number)
                self._polls[int(number)] = self._polls.get(int(number), 0) + 1
                self._ripen()
                return Reply(200, {"droplet": found}) if found else error(404, "not found")
            case "POST", ["droplets"]:
                return self._create(request.body)
            case "DELETE", ["droplets", number]:
                found = self._find(number)
                if not found:
                    return error(404, "not found")
                self.droplets.remove(found)
                return Reply(204)
            case "GET", ["droplets", number, "actions"]:
                return self._page("actions", self.actions.get(int(number), []), request)
            case "GET", ["tags"]:
                names = sorted({tag for one in self.droplets for tag in one["tags"]})
                return self._page("tags", [{"name": name} for name in names], request)
            case "POST", ["tags"]:
                return Reply(201, {"tag": {"name": request.body["name"]}})
            case "POST", ["tags", tag, "resources"]:
                for resource in request.body["resources"]:
                    found = self._find(resource["resource_id"])
                    if found and tag not in found["tags"]:
                        found["tags"].append(tag)
                return Reply(204)
        return error(404, "no such path")

    def _find(self, number: str) -> Item | None:
        return next((one for one in self.droplets if str(one["id"]) == number), None)

    def _create(self, body: Item) -> Reply:
        if not re.fullmatch(r"[a-z0-9-]+", body["size"]) or len(body["names"]) > 10:
            return error(422, "request payload validation failed")
        made = []
        for name in body["names"]:
            number = max([one["id"] for one in self.droplets] + [100]) + 1
            fresh = droplet(number, name, status="new", tags=list(body["tags"]), networks={})
            fresh["size_slug"] = body["size"]
            fresh["region"] = {"slug": body["region"]}
            self.droplets.append(fresh)
            self._hidden_until[number] = self._lists + self.polls_until_listed
            made.append(json.loads(json.dumps(fresh)))
            self._polls[number] = 0
        self._ripen()
        return Reply(202, {"droplets": made, "links": {"actions": []}})

    def _ripen(self) -> None:
        for one in self.droplets:
            if one["status"] == "new" and self._polls.get(one["id"], 0) >= self.polls_until_active:
                one["status"] = "active"
                one["networks"] = networks(self.new_address, f"10.114.0.{one['id'] % 250}")

    def _list_droplets(self, request: Request) -> Reply:
        if {"name", "tag_name"} <= set(request.query):
            return error(422, "tag_name cannot be combined with name")
        self.before_page(int(request.query.get("page", 1)))
        self._lists += 1
        shown = [one for one in self.droplets if self._hidden_until.get(one["id"], 0) < self._lists]
        if "tag_name" in request.query and self.narrows:
            shown = [one for one in shown if request.query["tag_name"] in one["tags"]]
        if "name" in request.query and self.narrows:
            shown = [one for one in shown if one["name"].lower() == request.query["name"].lower()]
        for one in shown:
            self._polls[one["id"]] = self._polls.get(one["id"], 0) + 1
        self._ripen()
        return self._page("droplets", shown, request)

    def _page(self, key: str, items: list[Item], request: Request) -> Reply:
        page, size = int(request.query.get("page", 1)), int(request.query.get("per_page", 20))
        last = max(1, -(-len(items) // size))
        body: Item = {key: items[(page - 1) * size : page * size], "meta": {"total": len(items)}}
        if last == 1:
            body.update(self.no_links)
        else:
            pages = {} if page >= last else {"next": self._link(request, page + 1), "last": self._link(request, last)}
            body["links"] = {"pages": pages}
        return Reply(200, body)

    def _link(self, request: Request, page: int) -> str:
        # The public name, as behind a proxy, and without the filters: a client must cope with both
        return f"https://api.digitalocean.com/v2{request.path}?page={page}&per_page={request.query['per_page']}"


class SshListener:
    """Says what an SSH server says first, or something else, on a port of loopback."""

    def __init__(self, banner: bytes = b"SSH-2.0-OpenSSH_9.2\r\n") -> None:
        self.banner = banner
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _peer = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.sendall(self.banner)

    def close(self) -> None:
        self._socket.close()
