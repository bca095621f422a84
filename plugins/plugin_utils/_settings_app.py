# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the settings of role app."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

from ansible_collections.alphacoder.scaleout.plugins.module_utils._image import HUB, has_digest, registry_of, tagged
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_health import health_problems
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_mounts import mount_problems
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_options import option_problems, shell_problems
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._app_processes import process_problems
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings import not_between, unknown_names
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_names import options_of

# The number of app servers, and facts of the role
OTHERS = (
    "app_count",
    "app_former_release",
    "app_pending",
    "app_releases",
    "app_run_command",
    "app_run_name",
    "app_run_output",
    "app_run_status",
)
# A registry, lower-case parts of a name, a tag and a digest, as the engine takes them
IMAGE = re.compile(
    r"((localhost|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+)(:\d+)?/|[A-Za-z0-9-]+:\d+/)?"
    r"[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*(:\w[\w.-]{0,127})?(@[a-z0-9]+:[0-9a-f]+)?"
)
IMAGE_HINT = "an image reference, such as registry.example.com/shop:1.4: without https://, and the name in lower case"
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
# A registry that images can be named after: with a dot, a port, or localhost
SERVER = re.compile(r"localhost|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+(:\d+)?|[A-Za-z0-9-]+:\d+")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
AT_LEAST = {
    "app_health_timeout": 1,
    "app_min_ready_seconds": 0,
    "app_releases_kept": 0,
    "app_run_timeout": 1,
}


def app_problems(settings: dict[str, t.Any]) -> list[str]:
    """A sentence for each problem."""
    problems = unknown_names(settings, "app", options_of("app"), also=OTHERS)
    if settings.get("app_release"):
        settings = settings | {"app_image": settings["app_release"]}

    def check(name: str, pattern: re.Pattern[str], wanted: str) -> None:
        value = settings.get(name)
        if value is not None and not pattern.fullmatch(str(value)):
            problems.append(f"{name} is '{value}'; it must be {wanted}.")

    check("app_image", IMAGE, IMAGE_HINT)
    if isinstance(settings.get("app_image"), int | float):
        problems.append(f"app_image is the number {settings['app_image']}; it must be {IMAGE_HINT}.")
    check("app_name", NAME, "letters, digits, _, . and -, and begin with a letter or a digit")
    for name in ("app_port", "app_publish_port"):
        problems += not_between(settings, name, 1, 65535)
    problems += not_between(settings, "app_beside_port", 0, 65535)
    for name, least in AT_LEAST.items():
        problems += not_between(settings, name, least)
    image = str(settings.get("app_image", ":1"))
    archive = str(settings.get("app_image_archive") or "")
    if archive and Path(archive).expanduser().is_dir():
        problems.append(f"app_image_archive is '{archive}', which is a directory; it must be the path of a file.")
    if archive and tagged(image) != image:
        problems.append(f"app_image is '{image}'; with app_image_archive, it must have a tag, such as {image}:1.4.")
    problems += _registry(settings.get("app_registry", {}), settings)
    for name in ("app_before_release", "app_after_release"):
        if not isinstance(command := settings.get(name) or [], str) and not _texts(command):
            problems.append(f"{name} is {command!r}; it must be a text or a list of texts; put numbers into quotes.")
        else:
            problems += shell_problems(name, command)
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


def _registry(login: t.Any, settings: dict[str, t.Any]) -> list[str]:
    """What is wrong with app_registry. Its password is secret."""
    shape = "{server: registry.example.com, username: me, password: ...}"
    if not isinstance(login, dict):
        return [f"app_registry must be a dictionary, such as {shape}."]
    if not login:
        return []
    problems = []
    for name in ("username", "password"):
        if not str(login.get(name) or ""):
            problems.append(f"app_registry has no {name}; it must be {shape}. Docker Hub needs no server.")
    for name in sorted(set(map(str, login)) - {"server", "username", "password"}):
        problems.append(f"app_registry has {name}; it must be {shape}.")
    if ":" in str(login.get("username") or ""):
        problems.append(f"app_registry: username is '{login['username']}'; it must not have a colon.")
    server = str(login.get("server") or HUB)
    name = re.sub(r"^\w+://|/.*", "", server.removeprefix("https://").removeprefix("http://"))
    if server != HUB and re.fullmatch(r"(.*\.)?docker\.(io|com)", name):
        problems.append(f"app_registry: server is '{server}'; for Docker Hub, leave it out.")
    elif not SERVER.fullmatch(server):
        problems.append(
            f"app_registry: server is '{server}'; it must be a name, with a port if images have one, such as "
            f"{name or 'registry.example.com'}."
        )
    elif settings.get("app_image_archive"):
        problems.append("app_registry is for images that are pulled, but app_image_archive is set: remove one of them.")
    elif (
        "app_image" in settings
        # A release from before may have been in another one
        and not has_digest(str(settings["app_image"]))
        and (other := registry_of(str(settings["app_image"]))) != server
    ):
        problems.append(
            f"app_registry logs in to {server}, but app_image, {settings['app_image']}, is an image of {other}: the "
            f"name of an image begins with its registry, as in {'' if server == HUB else server + '/'}me/shop:1.4."
        )
    return problems


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
            how = (
                f"Write the variables themselves into app_env, without {name}"
                if name in ("clear", "secret")
                else f'Write it in quotes, {name}: "…"; a template ends with | string then'
            )
            problems.append(f"app_env: {name} must be text, and is {_kind(value)}. {how}.")
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
