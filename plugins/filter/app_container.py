# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the containers of an app are made of."""

from __future__ import annotations

DOCUMENTATION = r"""
name: app_container
short_description: What the containers of an app on a host are made of
version_added: 0.1.0
author: Alphacoder (@alphacoder)
description:
  - Makes of the variables of role P(alphacoder.scaleout.app#role) all that the role's tasks need to know of the app's
    containers on a host. The variables are taken as checked by the role's preflight.
  - Reads the files of C(app_files) on the controller.
options:
  _input:
    description: The variables that begin with C(app_), by name. Those that are not set count as the role's defaults.
    type: dict
    required: true
  host:
    description: The host, as C(app_hosts) names it.
    type: str
    default: ""
"""

EXAMPLES = r"""
app: "{{ settings | alphacoder.scaleout.app_container(host='app-1') }}"
"""

RETURN = r"""
_value:
  description:
    - C(app), the app's name; C(beside), whether this is about its second container; C(release), what is to run, and
      C(image), the name by which modules find it; C(name) of the container that answers requests, and C(port), where
      the host publishes it.
    - C(web), that container, C(processes), a list of those beside it, and C(run), the one of C(app_run_command), empty
      without one.
    - Each container has C(options), those of M(community.docker.docker_container); C(trial), the options of one that
      shows whether the engine takes them; C(settings), which is another one for other options; C(parts), the same for
      each setting; C(directories), those of the host that must be there before, with C(path), and what is known of
      C(owner), C(group) and C(mode); C(assets), the folder of the release's assets on the host, empty without any;
      C(folder), empty without files, and the C(files) to put there, as M(ansible.builtin.copy) takes them.
    - C(health), with C(path), empty where nobody asks, C(headers), C(status), the C(statuses) that count, C(timeout),
      C(request), the text to send, and C(httpchk) and C(http_check), what HAProxy's keywords are given.
    - C(login), with the C(server) of the registry, the C(folder) on the host, the C(content) of its file, empty without
      a login, and the beginning of its C(sum).
  type: dict
"""

import base64
import hashlib
import json
import re
import typing as t

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.alphacoder.scaleout.plugins.module_utils._image import HUB, HUB_LOGIN
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_container import container, plain, trial
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_health import health_check
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_processes import places

Settings = dict[str, t.Any]


def _login(settings: Settings, app: str) -> dict[str, t.Any]:
    """The role's own login, in a file of its own, so that those of the host's users stay as they are."""
    registry = plain(settings.get("app_registry") or {})
    server = str(registry.get("server") or HUB)
    content = {}
    if registry:
        auth = base64.b64encode(f"{registry['username']}:{registry['password']}".encode()).decode()
        content = {"auths": {HUB_LOGIN if server == HUB else server: {"auth": auth}}}
    return {
        "server": server,
        "folder": f"/var/lib/alphacoder-login-{app}",
        "content": content,
        # Enough to see that the login on the host is another one, and too little to find the password by: it is in a
        # command
        "sum": hashlib.sha256(json.dumps(content).encode()).hexdigest()[:4] if content else "",
    }


def app_container(settings: Settings, host: str = "") -> dict[str, t.Any]:
    """What the containers are made of. See DOCUMENTATION."""
    app = str(settings.get("app_name", "app"))
    beside = boolean(settings.get("app_beside") or False)
    name = f"{app}-beside" if beside else app
    port = int(settings.get("app_publish_port") or 0)
    if beside:
        port = int(settings.get("app_beside_port") or 0) or port + 1
    former = settings.get("app_state") == "rolled_back"
    wanted = settings.get("app_former_release") if former else settings.get("app_release") or settings.get("app_image")
    release = str(wanted or "")
    # Modules of community.docker do not find an image by tag and digest
    image = re.sub(r":[^:/@]+(?=@)", "", release)
    processes = []
    for process, number in () if beside else places(settings, host):
        its_id = {"app_instance_id": f"{settings.get('app_instance_id') or host}-{process}-{number}"}
        processes.append(container(settings | its_id, f"{app}-{process}-{number}", image, release, process=process))
    run: dict[str, t.Any] = {}
    if command := settings.get("app_run_command"):
        its_name = f"{app}-{settings.get('app_run_name') or 'run'}"
        run = container(settings, its_name, image, release, process="", command=command)
    web = container(settings, name, image, release, port)
    for one in (web, *processes):
        one["trial"] = trial(one["options"])
    return {
        "app": app,
        "beside": beside,
        "name": name,
        "port": port,
        "release": release,
        "image": image,
        "web": web,
        "processes": processes,
        "run": run,
        "health": health_check(settings, f"{settings.get('app_publish_address', '')}:{port}"),
        "login": _login(settings, app),
    }


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"app_container": app_container}
