# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container of an app is made of."""

from __future__ import annotations

DOCUMENTATION = r"""
name: app_container
short_description: What a container of an app is made of
version_added: 0.1.0
author: Alphacoder (@alphacoder)
description:
  - Makes of the variables of role P(alphacoder.scaleout.app#role) what a container of the app is made of, and how it
    is asked whether it can serve. The variables are taken as checked by the role's preflight.
  - Reads the files of C(app_files) on the controller.
options:
  _input:
    description: The variables that begin with C(app_), by name. Those that are not set count as the role's defaults.
    type: dict
    required: true
  name:
    description: Name of the container.
    type: str
    default: ""
  image:
    description: The image that it runs.
    type: str
    default: ""
  release:
    description: The name of the release, which a label has. Empty - that of the image.
    type: str
    default: ""
  port:
    description: Where the host publishes it. V(0) - nowhere.
    type: int
    default: 0
  process:
    description: Which of C(app_processes) runs in it. V(web) - what answers requests.
    type: str
    default: web
  command:
    description:
      - What it runs instead, once. The module then waits for its end, removes the container, and returns its output.
    type: raw
    default: []
"""

EXAMPLES = r"""
app: "{{ settings | alphacoder.scaleout.app_container(name='shop', image='shop:1.4', port=8000) }}"
"""

RETURN = r"""
_value:
  description:
    - C(options), those of M(community.docker.docker_container); C(settings), which is another one for other options.
    - C(directories), those of the host that must be there before, with C(path), and what is known of C(owner),
      C(group) and C(mode).
    - C(assets), the folder of the release's assets on the host, empty without any.
    - C(folder), empty without files, and the C(files) to put there, as M(ansible.builtin.copy) takes them.
    - C(health), with C(path), empty where nobody asks, C(headers), C(status), the C(statuses) that count, C(timeout),
      C(request), the text to send, and C(httpchk) and C(http_check), what HAProxy's keywords are given.
  type: dict
"""

import hashlib
import json
import typing as t

from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_health import health_check
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_mounts import assets, files, volumes
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_options import LABEL, RELEASE_LABEL
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_processes import WEB, settings_of

# Given to Docker as they are; without a value the image's own hold
AS_THEY_ARE = ("command", "entrypoint", "user", "memory", "capabilities")


def _plain(value: t.Any) -> t.Any:
    """The value without what Ansible templates only when it is asked."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def app_container(
    settings: dict[str, t.Any],
    name: str = "",
    image: str = "",
    release: str = "",
    port: int | str = 0,
    process: str = WEB,
    command: str | list[str] | None = None,
) -> dict[str, t.Any]:
    """What the container is made of. See DOCUMENTATION."""
    settings = settings_of(settings, process)
    texts, mounts, directories = volumes(settings)
    folder, copies, file_mounts = files(settings)
    assets_folder, asset_mounts = assets(settings, image) if process == WEB else ("", [])
    more: dict[str, t.Any] = _plain(settings.get("app_container_options") or {})
    options = {
        "name": name,
        "image": image,
        "pull": "missing",
        "restart_policy": "unless-stopped",
        "env": (settings.get("app_env") or {}) | {"INSTANCE_ID": str(settings.get("app_instance_id", ""))},
        "stop_timeout": int(settings.get("app_stop_timeout", 30)),
        "init": True,
        "read_only": settings.get("app_read_only", True),
        "tmpfs": settings.get("app_tmpfs", ["/tmp"]),
        "cap_drop": ["ALL"],
        "security_opts": ["no-new-privileges"],
    }
    options |= {key: settings[f"app_{key}"] for key in AS_THEY_ARE if settings.get(f"app_{key}")}
    if float(settings.get("app_cpus") or 0):
        options["cpus"] = float(settings["app_cpus"])
    if int(port):
        options["published_ports"] = [f"{settings['app_publish_address']}:{port}:{settings['app_port']}"]
    if texts:
        options["volumes"] = texts
    options |= {key: value for key, value in more.items() if key not in ("labels", "mounts")}
    if mounts := mounts + file_mounts + asset_mounts + more.get("mounts", []):
        options["mounts"] = mounts
    options["labels"] = more.get("labels") or {}
    if command:
        options |= {"command": command, "restart_policy": "no", "detach": False, "cleanup": True}
    options = _plain(options)
    made_of = hashlib.sha256(json.dumps(options, sort_keys=True, default=str).encode()).hexdigest()
    options["labels"] |= {LABEL: made_of, RELEASE_LABEL: release or image}
    # Labels only tell what the container was made with. Docker's module leaves a container with another stop timeout as
    # it is, and one with more variables
    options["comparisons"] = {"labels": "ignore", "env": "strict", "stop_timeout": "strict"}
    return {
        "options": options,
        "settings": made_of,
        "directories": directories,
        "assets": assets_folder,
        "folder": folder,
        "files": copies,
        "health": health_check(settings, f"{settings.get('app_publish_address', '')}:{port}"),
    }


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"app_container": app_container}
