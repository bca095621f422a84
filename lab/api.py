# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTTP service: routes, authentication, pagination and the shape of replies."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import logging
import os
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from lab import catalog, state
from lab.droplets import Droplets, Settings, tag_name
from lab.engine import Engine
from lab.errors import ApiError, invalid, not_found
from lab.limits import RateLimit, refused
from lab.records import tag_key, tagging_key
from lab.traps import Traps

JSON = "application/json; charset=utf-8"
# What a list of one page has: the documentation says the first, its examples show the others
_ONE_PAGE: dict[str, dict[str, Any]] = {"none": {}, "empty": {"links": {}}, "pages": {"links": {"pages": {}}}}


def serve() -> Flask:
    """The app that gunicorn runs, for the lab that LAB_NAME names."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    lab = state.lab(os.environ["LAB_NAME"])
    droplets = Droplets(lab, Engine(), Settings.read(os.environ))
    app = create_app(droplets, state.token(lab))
    droplets.resume()
    return app


def create_app(droplets: Droplets, token: str) -> Flask:
    app = Flask("lab")
    settings = droplets.settings
    limit = RateLimit(settings.rate_per_hour, settings.rate_per_minute, droplets.clock)
    key_lists = RateLimit(settings.rate_per_hour, settings.key_lists_per_minute, droplets.clock)

    @app.before_request
    def admit() -> None:
        g.request_id = str(uuid.uuid4())
        if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), f"Bearer {token}".encode()):
            raise ApiError(401, "unauthorized", "Unable to authenticate you.")
        if request.path.startswith("/lab/"):
            return
        spring(droplets.traps)
        limit.take()
        if request.method == "GET" and request.path == "/v2/account/keys":
            key_lists.take()

    @app.after_request
    def sign(response: Response) -> Response:
        for name, value in {"x-request-id": g.request_id, **limit.headers()}.items():
            response.headers.setdefault(name, value)
        return response

    @app.errorhandler(ApiError)
    def refuse(error: ApiError) -> Response:
        body = {"id": error.code, "message": error.message}
        if error.traced:
            body["request_id"] = g.request_id
        return reply(body, error.status, error.headers)

    @app.errorhandler(HTTPException)
    def no_route(error: HTTPException) -> Response:
        if error.code == 404:
            return refuse(not_found())
        return refuse(ApiError(error.code or 500, error.name.lower().replace(" ", "_"), str(error.description)))

    @app.errorhandler(Exception)
    def crash(error: Exception) -> Response:
        logging.getLogger("lab").error("%s %s", request.method, request.path, exc_info=error)
        return refuse(ApiError(500, "server_error", "Unexpected server-side error"))

    @app.before_request
    def hand_over() -> None:
        g.traps = droplets.traps

    for routes in (_account(droplets), _droplets(droplets), _tags(droplets)):
        app.register_blueprint(routes, url_prefix="/v2")
    app.register_blueprint(_switches(droplets.traps), url_prefix="/lab")
    return app


def spring(traps: Traps) -> None:
    """Raises the error that a trap has for this request."""
    if traps.take("burst"):
        raise refused({"retry-after": "1", "ratelimit-remaining": "0"})
    if traps.take("hourly"):
        raise refused({"ratelimit-remaining": "0"})
    if request.method == "GET" and traps.take("server_errors"):
        raise ApiError(500, "server_error", "Unexpected server-side error")


def _switches(traps: Traps) -> Blueprint:
    """The lab's own routes, which DigitalOcean doesn't have. Neither limits nor traps apply to them."""
    routes = Blueprint("lab", __name__)

    @routes.get("/traps")
    def show() -> Response:
        return reply({"traps": traps.show()})

    @routes.put("/traps")
    def change() -> Response:
        traps.set(posted())
        return show()

    @routes.delete("/traps")
    def reset() -> Response:
        traps.reset()
        return show()

    return routes


def _account(droplets: Droplets) -> Blueprint:
    routes = Blueprint("account", __name__)
    records = droplets.records

    @routes.get("/account")
    def account() -> Response:
        return reply(
            {
                "account": {
                    "droplet_limit": droplets.settings.droplet_limit, "floating_ip_limit": 3, "reserved_ip_limit": 3,
                    "volume_limit": 100, "email": "lab@example.com", "name": "Lab", "uuid": uuid.UUID(int=0).hex,
                    "email_verified": True, "status": "active", "status_message": "",
                }
            }
        )  # fmt: skip

    @routes.get("/reserved_ips")
    def reserved_ips() -> Response:
        return page("reserved_ips", droplets.reserved_ips(droplets.view()))

    @routes.get("/vpcs")
    def vpcs() -> Response:
        return page("vpcs", [catalog.vpc(slug, str(droplets.lab.private)) for slug in catalog.REGIONS])

    @routes.get("/vpcs/<vpc_id>")
    def vpc(vpc_id: str) -> Response:
        for slug in catalog.REGIONS:
            if catalog.vpc_id(slug) == vpc_id:
                return reply({"vpc": catalog.vpc(slug, str(droplets.lab.private))})
        raise not_found()

    def find_key(name: str) -> dict[str, Any]:
        for item in records.read()["key"]:
            if name in (str(item["id"]), item["fingerprint"]):
                return item
        raise not_found()

    @routes.get("/account/keys")
    def keys() -> Response:
        return page("ssh_keys", records.read()["key"])

    @routes.post("/account/keys")
    def create_key() -> Response:
        body = posted()
        name, public_key = body.get("name"), body.get("public_key")
        if not isinstance(name, str) or not name or not isinstance(public_key, str):
            raise invalid("name and public_key are required")
        fingerprint = fingerprint_of(public_key)
        if any(item["fingerprint"] == fingerprint for item in records.read()["key"]):
            raise invalid("SSH Key is already in use on your account")
        item = {
            "id": droplets.next_id(),
            "name": name,
            "fingerprint": fingerprint,
            "public_key": " ".join(public_key.split()),
        }
        records.put("key", item["id"], item)
        return reply({"ssh_key": item}, 201)

    @routes.get("/account/keys/<name>")
    def key(name: str) -> Response:
        return reply({"ssh_key": find_key(name)})

    @routes.delete("/account/keys/<name>")
    def delete_key(name: str) -> Response:
        records.remove("key", find_key(name)["id"])
        return empty()

    return routes


def _droplets(droplets: Droplets) -> Blueprint:
    routes = Blueprint("droplets", __name__)

    @routes.post("/droplets")
    def create() -> Response:
        body = posted()
        orders = droplets.create(body)
        view = droplets.view()
        actions = [droplets.log_action(order, "create")["id"] for order in orders]
        links = [
            {"id": number, "rel": "create", "href": f"{request.host_url}v2/actions/{number}"} for number in actions
        ]
        # A 202 says `new`, even if a droplet has come up meanwhile
        shown = [
            {**droplets.show(view, order), "status": "new", "locked": True, "networks": {"v4": [], "v6": []}}
            for order in orders
        ]
        found = {"droplets": shown} if "names" in body else {"droplet": shown[0]}
        return reply({**found, "links": {"actions": links}}, 202)

    @routes.get("/droplets")
    def index() -> Response:
        tag, name = request.args.get("tag_name"), request.args.get("name")
        if tag and name:
            raise invalid("tag_name cannot be combined with name.")
        view = droplets.view()
        found = droplets.listed(view)
        if tag:
            tagged = {order["id"] for order in droplets.tagged(view, tag)}
            found = [order for order in found if order["id"] in tagged]
        if name:
            found = [order for order in found if order["name"].lower() == name.lower()]
        answer = page("droplets", found, lambda order: droplets.show(view, order))
        droplets.delete([order for order in found if droplets.traps.spring("gone", order["name"])], view)
        return answer

    @routes.get("/droplets/<int:droplet_id>")
    def show(droplet_id: int) -> Response:
        view = droplets.view()
        return reply({"droplet": droplets.show(view, view.droplet(droplet_id))})

    @routes.delete("/droplets/<int:droplet_id>")
    def delete(droplet_id: int) -> Response:
        view = droplets.view()
        droplets.delete([view.droplet(droplet_id)], view)
        return empty()

    @routes.delete("/droplets")
    def delete_tagged() -> Response:
        tag = request.args.get("tag_name")
        if not tag:
            raise invalid("tag_name is required")
        view = droplets.view()
        droplets.delete(droplets.tagged(view, tag), view)
        return empty()

    @routes.post("/droplets/<int:droplet_id>/actions")
    def act(droplet_id: int) -> Response:
        kind = str(posted().get("type"))
        view = droplets.view()
        return reply({"action": droplets.act(view, view.droplet(droplet_id), kind)}, 201)

    @routes.get("/droplets/<int:droplet_id>/actions")
    def actions(droplet_id: int) -> Response:
        view = droplets.view()
        return page("actions", droplets.settled_actions_of(view, view.droplet(droplet_id)))

    @routes.get("/actions/<int:action_id>")
    def action(action_id: int) -> Response:
        return reply({"action": droplets.action(action_id)})

    return routes


def _tags(droplets: Droplets) -> Blueprint:
    routes = Blueprint("tags", __name__)
    records = droplets.records

    def find(name: str, found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
        """The tag, by its own capitals only, unless a trap says otherwise."""
        key = str if droplets.traps["tag_case"] == "strict" else tag_key
        for tag in found["tag"]:
            if key(tag["name"]) == key(name):
                return tag
        raise not_found()

    def show(tag: dict[str, Any], found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
        ids = [item["droplet"] for item in found["tagging"] if item["tag"] == tag_key(tag["name"])]
        counted: dict[str, Any] = {"count": len(ids)}
        if ids:
            counted["last_tagged_uri"] = f"{request.host_url}v2/droplets/{max(ids)}"
        none = {"count": 0}
        others = {kind: none for kind in ("images", "volumes", "volume_snapshots", "databases")}
        return {"name": tag["name"], "resources": {**counted, "droplets": counted, **others}}

    @routes.get("/tags")
    def index() -> Response:
        found = records.read()
        return page("tags", found["tag"], lambda tag: show(tag, found))

    @routes.post("/tags")
    def create() -> Response:
        name = tag_name(posted().get("name"))
        records.put("tag", tag_key(name), {"name": name})
        found = records.read()
        return reply({"tag": next(show(t, found) for t in found["tag"] if tag_key(t["name"]) == tag_key(name))}, 201)

    @routes.get("/tags/<name>")
    def get(name: str) -> Response:
        found = records.read()
        return reply({"tag": show(find(name, found), found)})

    @routes.delete("/tags/<name>")
    def delete(name: str) -> Response:
        found = records.read()
        key = tag_key(find(name, found)["name"])
        gone = [tagging_key(item["tag"], item["droplet"]) for item in found["tagging"] if item["tag"] == key]
        records.remove("tagging", *gone)
        records.remove("tag", key)
        return empty()

    def posted_droplets(found: dict[str, list[dict[str, Any]]]) -> list[int]:
        """The droplets that a body names, by ids that are strings here, unlike everywhere else."""
        resources = posted().get("resources")
        if not isinstance(resources, list) or not resources:
            raise invalid("resources is required")
        ids = {str(order["id"]): int(order["id"]) for order in found["droplet"]}
        named = []
        for item in resources:
            if not isinstance(item, dict) or item.get("resource_type") != "droplet":
                raise invalid("resource_type must be droplet.")
            if not isinstance(item.get("resource_id"), str):
                raise invalid("resource_id must be a string.")
            if item["resource_id"] not in ids:
                raise not_found()
            named.append(ids[item["resource_id"]])
        return named

    @routes.post("/tags/<name>/resources")
    def tag(name: str) -> Response:
        found = records.read()
        find(name, found)
        droplets.tag(name, posted_droplets(found))
        return empty()

    @routes.delete("/tags/<name>/resources")
    def untag(name: str) -> Response:
        found = records.read()
        find(name, found)
        records.remove("tagging", *(tagging_key(name, number) for number in posted_droplets(found)))
        return empty()

    return routes


def reply(body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(body), status, headers, content_type=JSON)


def empty() -> Response:
    """A 204: it has no body, but still a content type."""
    return Response(status=204, content_type=JSON)


def posted() -> dict[str, Any]:
    try:
        body = json.loads(request.get_data() or b"")
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ApiError(400, "bad_request", "error parsing request body")
    return body


def page(key: str, items: list[dict[str, Any]], show: Callable[[dict[str, Any]], dict[str, Any]] = dict) -> Response:
    """One page of a list, with links to the others that keep the request's filters."""
    number, size = _positive("page", 1, None), _positive("per_page", 20, 200)
    last = max(1, -(-len(items) // size))
    shown = [show(item) for item in items[(number - 1) * size : number * size]]
    body: dict[str, Any] = {key: shown, "meta": {"total": len(items)}}
    if last == 1 and number == 1:
        shape = g.traps["links"]
        return reply({**body, **_ONE_PAGE[tuple(_ONE_PAGE)[(len(items) + size) % 3] if shape == "in-turn" else shape]})
    wanted: dict[str, int] = {}
    if number > 1:
        wanted.update(first=1, prev=min(number - 1, last))
    if number < last:
        wanted.update(next=number + 1, last=last)
    links = {
        rel: f"{request.base_url}?{urlencode({**request.args, 'page': target, 'per_page': size})}"
        for rel, target in wanted.items()
    }
    return reply({**body, "links": {"pages": links}})


def _positive(name: str, default: int, most: int | None) -> int:
    text = request.args.get(name, str(default))
    if not text.isdigit() or int(text) < 1 or (most and int(text) > most):
        raise invalid(f"{name} must be a number from 1" + (f" to {most}." if most else "."))
    return int(text)


def fingerprint_of(public_key: str) -> str:
    """The MD5 fingerprint of an OpenSSH public key, as the API writes it; raises a 422 if it isn't one."""
    kind, _, rest = public_key.strip().partition(" ")
    try:
        blob = base64.b64decode(rest.split(" ")[0], validate=True)
    except binascii.Error:
        blob = b""
    if not blob[4:].startswith(kind.encode()) or not kind:
        raise invalid("Key invalid, key should be of the format `ssh-rsa AAAAB3Nz... comment`")
    return hashlib.md5(blob, usedforsecurity=False).digest().hex(":")
