# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the settings of role hits."""

from __future__ import annotations

import importlib.util
import re
import sys
import typing as t
from pathlib import Path

from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings import unknown_names
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_names import options_of

# A fact of the role
OTHERS = ("hits_release",)
REMOVED = {
    "hits_image": "set app_image",
    "hits_database_url": "set DATABASE_URL in app_env",
    "hits_redis_url": "set REDIS_URL in app_env",
    "hits_workers": "set WORKERS in app_env",
    "hits_name": "use app_name",
    "hits_instance_id": "use app_instance_id",
    "hits_publish_address": "use app_publish_address",
    "hits_publish_port": "use app_publish_port",
}


def hits_problems(settings: dict[str, t.Any]) -> list[str]:
    """A sentence for each problem."""
    problems = unknown_names(settings, "hits", options_of("hits"), also=OTHERS, removed=REMOVED)
    version, archive = settings.get("hits_python_version", "3.13"), settings.get("hits_base_image_archive", "")
    if not re.fullmatch(r"3[.][0-9]+", version):
        problems.append(
            f"hits_python_version is '{version}'; it must be the CPython version of hits_base_image, such as 3.13."
        )
    if archive and not Path(archive).expanduser().is_file():
        problems.append(
            f"hits_base_image_archive is '{archive}', and this machine has no such file. Make it with "
            f"docker save {settings.get('hits_base_image', '')}, or leave the variable empty to pull the image."
        )
    built = (
        Path(settings.get("hits_cache_dir", "")).expanduser() / f"context-{settings.get('hits_release')}/context.tar"
    )
    if importlib.util.find_spec("pip") is None and not built.is_file():
        problems.append(
            f"Ansible's Python, {sys.executable}, has no pip, which fetches the packages of hits. Install it there: uv "
            "tool install --with pip ansible-core, apt install python3-pip, or python -m ensurepip in a virtual "
            "environment."
        )
    return problems
