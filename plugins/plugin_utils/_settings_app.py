# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the settings of role app."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_health import health_problems
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_mounts import mount_problems
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_options import option_problems
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_processes import process_problems
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings import not_between, unknown_names

OPTIONS = (
    "app_after_release",
    "app_before_release",
    "app_beside",
    "app_beside_port",
    "app_capabilities",
    "app_command",
    "app_container_options",
    "app_cpus",
    "app_entrypoint",
    "app_env",
    "app_files",
    "app_health",
    "app_health_path",
    "app_health_timeout",
    "app_hosts",
    "app_image",
    "app_image_archive",
    "app_instance_id",
    "app_memory",
    "app_min_ready_seconds",
    "app_name",
    "app_port",
    "app_processes",
    "app_publish_address",
    "app_publish_port",
    "app_read_only",
    "app_releases_kept",
    "app_replace",
    "app_run_timeout",
    "app_state",
    "app_stop_timeout",
    "app_tmpfs",
    "app_user",
    "app_volumes",
)
# The number of app servers, and facts of the role
OTHERS = ("app_count", "app_pending", "app_releases", "app_run_command", "app_run_name")
IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._/:@-]*")
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
AT_LEAST = {
    "app_health_timeout": 1,
    "app_min_ready_seconds": 0,
    "app_releases_kept": 0,
    "app_run_timeout": 1,
}


def app_problems(settings: dict[str, t.Any]) -> list[str]:
    """A sentence for each problem."""
    problems = unknown_names(settings, "app", OPTIONS, also=OTHERS)

    def check(name: str, pattern: re.Pattern[str], wanted: str) -> None:
        value = settings.get(name)
        if value is not None and not pattern.fullmatch(str(value)):
            problems.append(f"{name} is '{value}'; it must be {wanted}.")

    check("app_image", IMAGE, "an image reference, such as registry.example.com/shop:1.4")
    check("app_name", NAME, "letters, digits, _, . and -, and begin with a letter or a digit")
    for name in ("app_port", "app_publish_port"):
        problems += not_between(settings, name, 1, 65535)
    problems += not_between(settings, "app_beside_port", 0, 65535)
    for name, least in AT_LEAST.items():
        problems += not_between(settings, name, least)
    if not re.search(r"[:@][^/]+$", str(settings.get("app_image", ":1"))):
        problems.append(
            f"app_image is '{settings['app_image']}'; it must have a tag, such as :1.4. Without one it is latest, "
            "which a host that has it does not pull again."
        )
    for name in ("app_before_release", "app_after_release"):
        if not isinstance(command := settings.get(name) or [], str) and not _texts(command):
            problems.append(f"{name} is {command!r}; it must be a text or a list of texts; put numbers into quotes.")
    problems += _container(settings)
    problems += process_problems(settings, _container)
    problems += health_problems(settings)
    return problems


def _texts(value: t.Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _container(settings: dict[str, t.Any]) -> list[str]:
    """What is wrong with what a process may have of its own."""
    problems = not_between(settings, "app_stop_timeout", 0)
    paths = settings.get("app_tmpfs", [])
    if not isinstance(paths, list) or not all(str(path).startswith("/") for path in paths):
        problems.append(f"app_tmpfs is {paths!r}; it must be a list of paths, such as [/tmp].")
    problems += option_problems(settings)
    problems += mount_problems(settings)
    return problems + _environment(settings.get("app_env", {}))


def _environment(env: t.Any) -> list[str]:
    """What is wrong with app_env. Its values are secret."""
    if not isinstance(env, dict):
        return ["app_env must be a dictionary of names and values, such as {GREETING: Hello}."]
    problems = []
    wrong = [str(name) for name in env if not VARIABLE.fullmatch(str(name)) or name == "INSTANCE_ID"]
    if wrong:
        problems.append(
            f"app_env has {', '.join(wrong)}; a name must be letters, digits and _, and must not begin with a digit. "
            "INSTANCE_ID is set with app_instance_id."
        )
    for name, value in env.items():
        if not isinstance(value, str):
            # Not what it is: YAML has changed it already, 0123 to 83, and it may be a password
            problems.append(
                f'app_env: {name} must be text, and is {_kind(value)}. Write it in quotes, {name}: "…"; a template '
                "ends with | string then."
            )
    return problems


def _kind(value: t.Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    return (
        "a number"
        if isinstance(value, int | float)
        else "nothing"
        if value is None
        else "a list, a dictionary or a date"
    )
