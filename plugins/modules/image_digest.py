#!/usr/bin/python
# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image_digest
short_description: Ask a registry which image a name means now
version_added: 0.1.0
author:
  - alphacoder (@alphacoder)
description:
  - Makes of the name of an image, such as C(me/shop:latest), one that always means the same image,
    C(me/shop:latest@sha256:...). Hosts that pull that one have the same image, whatever becomes of the tag.
  - The container engine of the host asks the registry, with its own settings for proxies and mirrors. Nothing is
    pulled, and nothing is changed.
  - A registry that gives no answer is no failure, as the hosts may have the image. The name stays as it is then, or
    becomes the one of O(known) that has the same tag, with a warning. Only for the tag C(latest) is it a failure, for
    which image that was before says nothing of which one it is now.
extends_documentation_fragment:
  - alphacoder.scaleout.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  name:
    description:
      - The image. Without a tag, it is that of C(latest). With a digest, it is returned as it is.
    type: str
    required: true
  known:
    description:
      - Images with digests that the hosts had under such names, the newest first.
    type: list
    elements: str
    default: []
  login:
    description:
      - How to log in to the registry. If not set, the login of the host's user is taken, from C(~/.docker/config.json).
        One that is in the keeping of a credential helper is not found.
      - It goes to that registry alone.
    type: dict
    suboptions:
      server:
        description:
          - The registry.
        type: str
        default: docker.io
      username:
        description:
          - Name of the user.
        type: str
        required: true
      password:
        description:
          - Password of the user, or a token.
        type: str
        required: true
  socket:
    description:
      - Where the container engine listens.
    type: path
    default: /var/run/docker.sock
  timeout:
    description:
      - Seconds that the answer may take.
    type: int
    default: 30
seealso:
  - module: community.docker.docker_image_pull
"""

EXAMPLES = r"""
- name: Ask the registry which image that is now
  alphacoder.scaleout.image_digest:
    name: registry.example.com/me/shop:latest
    login:
      server: registry.example.com
      username: me
      password: "{{ vault_registry_password }}"
  register: image
  run_once: true

- name: Pull that one on every host
  community.docker.docker_image_pull:
    name: "{{ image.by_digest }}"
"""

RETURN = r"""
name:
  description: O(name) as it was given.
  returned: success
  type: str
  sample: registry.example.com/me/shop:latest
release:
  description: The name with tag and digest; without a digest where the registry gave no answer and none is known.
  returned: success
  type: str
  sample: registry.example.com/me/shop:latest@sha256:c8fc49a52e7df863e7cb811b1a8f21dcc834ab589e0d03827737a7fdfc8de8aa
by_digest:
  description: The same without the tag, as modules of community.docker take it.
  returned: success
  type: str
  sample: registry.example.com/me/shop@sha256:c8fc49a52e7df863e7cb811b1a8f21dcc834ab589e0d03827737a7fdfc8de8aa
answered:
  description: Whether the digest is the registry's answer of now.
  returned: success
  type: bool
"""

import base64
import http.client
import json
import os
import re
import socket
import typing as t
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alphacoder.scaleout.plugins.module_utils._image import (
    HUB,
    HUB_LOGIN,
    has_digest,
    registry_of,
    tagged,
)

NOT_WITHOUT_ANSWER = (
    "Which image {name} is now could not be found out: {reason}. Nothing was changed. Check the name and the login. An "
    "image that the hosts have under that name may be an older one: to go on with it, or without a registry, name "
    "another tag or a digest."
)


class NoAnswer(Exception):
    """Why there is no digest."""


class NoEngine(NoAnswer):
    """There is nobody to ask."""


class Engine(http.client.HTTPConnection):
    """A connection to the container engine."""

    def __init__(self, path: str, timeout: int) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def login_of(configuration: Mapping[str, t.Any], registry: str) -> dict[str, str]:
    """What the file of a user's logins has for the registry, as the engine takes it; nothing if it has none."""
    keys = [HUB_LOGIN] if registry == HUB else [registry, f"https://{registry}", f"http://{registry}"]
    for key in keys:
        entry = (configuration.get("auths") or {}).get(key) or {}
        if entry.get("identitytoken"):
            return {"identitytoken": entry["identitytoken"], "serveraddress": key}
        if entry.get("auth"):
            username, _colon, password = base64.b64decode(entry["auth"]).decode().partition(":")
            return {"username": username, "password": password, "serveraddress": key}
    return {}


def user_configuration() -> dict[str, t.Any]:
    """The file of the user's logins; empty if it is not there or makes no sense."""
    folder = os.environ.get("DOCKER_CONFIG")
    file = (Path(folder) if folder else Path.home() / ".docker") / "config.json"
    try:
        return dict(json.loads(file.read_text()))
    except (OSError, ValueError):
        return {}


def credentials(login: Mapping[str, str] | None, registry: str) -> dict[str, str]:
    """What the engine is to log in to the registry with; empty if there is nothing."""
    if login is None:
        return login_of(user_configuration(), registry)
    if login["server"] != registry:
        return {}
    server = HUB_LOGIN if registry == HUB else registry
    return {"username": login["username"], "password": login["password"], "serveraddress": server}


def ask(engine: Engine, name: str, login: Mapping[str, str]) -> str:
    """The digest that the registry has for the name."""
    headers = {}
    if login:
        headers["X-Registry-Auth"] = base64.urlsafe_b64encode(json.dumps(login).encode()).decode()
    try:
        engine.connect()
    except OSError as error:
        raise NoEngine(f"no container engine answers at {engine.path}: {error}") from error
    try:
        engine.request("GET", f"/distribution/{urllib.parse.quote(name, safe='/:')}/json", headers=headers)
        response = engine.getresponse()
        answer = json.loads(response.read() or b"{}")
    except TimeoutError:
        raise NoAnswer(f"no answer within {engine.timeout} s") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoAnswer(f"the container engine did not answer: {error}") from error
    finally:
        engine.close()
    digest = (answer.get("Descriptor") or {}).get("digest")
    if response.status != 200 or not digest:
        raise NoAnswer(answer.get("message") or f"the container engine answered {response.status}")
    return str(digest)


def known_release(name: str, known: Sequence[str]) -> str:
    """The newest of those that are known under the name; empty if there is none."""
    return next((one for one in known if one.startswith(f"{name}@")), "")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "known": {"type": "list", "elements": "str", "default": []},
            "login": {
                "type": "dict",
                "options": {
                    "server": {"type": "str", "default": HUB},
                    "username": {"type": "str", "required": True},
                    "password": {"type": "str", "required": True, "no_log": True},
                },
            },
            "socket": {"type": "path", "default": "/var/run/docker.sock"},
            "timeout": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    given = module.params["name"]
    release = name = tagged(given)
    answered = False
    if not has_digest(name):
        engine = Engine(module.params["socket"], module.params["timeout"])
        try:
            release = f"{name}@{ask(engine, name, credentials(module.params['login'], registry_of(name)))}"
            answered = True
        except NoAnswer as reason:
            release = known_release(name, module.params["known"]) or name
            # A dry run may come before the engine does
            if not (isinstance(reason, NoEngine) and module.check_mode):
                if name.endswith(":latest"):
                    module.fail_json(msg=NOT_WITHOUT_ANSWER.format(name=name, reason=reason))
                module.warn(f"The registry did not say which image {name} is now ({reason}): going on with {release}.")
    by_digest = re.sub(r":[^:/@]+(?=@)", "", release)
    module.exit_json(changed=False, name=given, release=release, by_digest=by_digest, answered=answered)


if __name__ == "__main__":
    main()
