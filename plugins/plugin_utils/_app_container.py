# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: what one container of an app is made of.

from __future__ import annotations

import hashlib
import json
import typing as t

from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_mounts import assets, files, volumes
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_options import (
    LABEL,
    PARTS_LABEL,
    PROCESS_LABEL,
    RELEASE_LABEL,
)
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_processes import WEB, settings_of

# Given to Docker as they are; without a value the image's own hold
AS_THEY_ARE = ("command", "entrypoint", "user", "memory", "capabilities")
# What the role decides, whatever the user says
ROLES_OWN = frozenset({"name", "pull", "cap_drop", "restart_policy"})
# Runs in every image, needs no rights, and ends at once: the engine brings it with `init`
INIT = "/sbin/docker-init"
# What the container that serves has, and no second one may have at the same time
EXCLUSIVE = frozenset({"networks", "published_ports", "links", "mac_address"})


def plain(value: t.Any) -> t.Any:
    """The value without what Ansible templates only when it is asked."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value


def _sum(value: t.Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _parts(options: dict[str, t.Any], **mounts: t.Any) -> dict[str, str]:
    """What tells one setting of the container from another, by the setting's name.

    Enough to see that a value is another one, and too little to find it by, for it may be secret.
    """
    renamed = {"published_ports": "publish_port", "image": "image", "cpus": "cpus"}
    known = {*AS_THEY_ARE, *renamed, "read_only", "tmpfs", "stop_timeout"}
    values = {renamed.get(key, key): value for key, value in options.items() if key in known}
    values |= {f"env: {name}": value for name, value in options["env"].items() if name != "INSTANCE_ID"}
    values["instance_id"] = options["env"]["INSTANCE_ID"]
    values |= {f"container_options: {key}": options[key] for key in options if key not in known | ROLES_OWN | {"env"}}
    values |= {key: value for key, value in mounts.items() if value}
    return {key: _sum(value)[:4] for key, value in values.items()}


def container(
    settings: dict[str, t.Any],
    name: str,
    image: str,
    release: str,
    port: int = 0,
    process: str = WEB,
    command: str | list[str] | None = None,
) -> dict[str, t.Any]:
    """What it is made of; `port`: where the host publishes it, 0: nowhere; `command`: what it runs once instead."""
    settings = settings_of(settings, process)
    texts, mounts, directories = volumes(settings)
    folder, copies, file_mounts = files(settings)
    assets_folder, asset_mounts = assets(settings, image) if process == WEB else ("", [])
    more: dict[str, t.Any] = plain(settings.get("app_container_options") or {})
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
    if port:
        options["published_ports"] = [f"{settings['app_publish_address']}:{port}:{settings['app_port']}"]
    if texts:
        options["volumes"] = texts
    options |= {key: value for key, value in more.items() if key not in ("labels", "mounts")}
    if all_mounts := mounts + file_mounts + asset_mounts + more.get("mounts", []):
        options["mounts"] = all_mounts
    options["labels"] = more.get("labels") or {}
    if command:
        options |= {"command": command, "restart_policy": "no", "detach": False, "cleanup": True}
    options = plain(options)
    made_of = _sum(options)
    parts = _parts(
        {key: value for key, value in options.items() if key not in ("mounts", "volumes", "labels")},
        volumes=texts + mounts,
        files=file_mounts,
        assets=asset_mounts,
        **{"container_options: mounts": more.get("mounts"), "container_options: labels": more.get("labels")},
    )
    options["labels"] |= {
        LABEL: made_of,
        RELEASE_LABEL: release,
        PARTS_LABEL: json.dumps(parts, separators=(",", ":")),
    }
    if process not in (WEB, ""):
        options["labels"][PROCESS_LABEL] = settings.get("app_name", "app")
    # Labels only tell what the container was made with. Docker's module leaves a container with another stop timeout as
    # it is, and one with more variables
    options["comparisons"] = {"labels": "ignore", "env": "strict", "stop_timeout": "strict"}
    if command:
        # What it wrote where nobody named a volume is for nobody
        options["keep_volumes"] = False
    return {
        "options": options,
        "settings": made_of,
        "parts": parts,
        "directories": directories,
        "assets": assets_folder,
        "folder": folder,
        "files": copies,
    }


def trial(options: dict[str, t.Any]) -> dict[str, t.Any]:
    """A container like this one, that runs nothing of the image and ends at once, beside it.

    The engine looks at most of the options only when it starts a container.
    """
    shared = {key: value for key, value in options.items() if key not in EXCLUSIVE}
    return shared | {
        "name": f"{options['name']}-trial",
        "init": True,
        "entrypoint": [INIT],
        "command": ["--version"],
        "network_mode": "none",
        "labels": {},
        "restart_policy": "no",
        "detach": False,
        "cleanup": True,
        "keep_volumes": False,
        # What an interrupted run left
        "recreate": True,
    }
