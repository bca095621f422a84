# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the containers of an app's processes on a host are made of."""

from __future__ import annotations

DOCUMENTATION = r"""
name: app_processes
short_description: What the containers of an app's processes on a host are made of
version_added: 0.1.0
author: Alphacoder (@alphacoder)
description:
  - Makes of C(app_processes) of role P(alphacoder.scaleout.app#role) a list of the containers that run on a host, but
    for that of C(web).
options:
  _input:
    description: The variables that begin with C(app_), by name. Those that are not set count as the role's defaults.
    type: dict
    required: true
  host:
    description: The host, as C(app_hosts) names it.
    type: str
    default: ""
  image:
    description: The image that they run.
    type: str
    default: ""
  release:
    description: The name of the release, which a label has. Empty - that of the image.
    type: str
    default: ""
seealso:
  - plugin: alphacoder.scaleout.app_container
    plugin_type: filter
"""

EXAMPLES = r"""
containers: "{{ settings | alphacoder.scaleout.app_processes(host='app-1', image='shop:1.4') }}"
"""

RETURN = r"""
_value:
  description: A container each, as P(alphacoder.scaleout.app_container#filter) describes one.
  type: list
  elements: dict
"""

import typing as t

from ansible_collections.alphacoder.scaleout.plugins.filter.app_container import app_container
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_options import PROCESS_LABEL
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_processes import places


def app_processes(
    settings: dict[str, t.Any], host: str = "", image: str = "", release: str = ""
) -> list[dict[str, t.Any]]:
    """The containers. See DOCUMENTATION."""
    app = str(settings.get("app_name", "app"))
    containers = []
    for process, number in places(settings, host):
        its_id = {"app_instance_id": f"{settings.get('app_instance_id') or host}-{process}-{number}"}
        container = app_container(settings | its_id, f"{app}-{process}-{number}", image, release, process=process)
        container["options"]["labels"][PROCESS_LABEL] = app
        containers.append(container)
    return containers


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"app_processes": app_processes}
