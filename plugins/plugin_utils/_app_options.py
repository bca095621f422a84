# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: which options of community.docker.docker_container a user may set, and how.

from __future__ import annotations

import difflib
import re
import shlex
import typing as t
from collections.abc import Iterator

from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings import Settings

# The label that says what a container was made with
LABEL = "alphacoder.scaleout.settings"
# The labels that say which release it is, and whose process
RELEASE_LABEL = "alphacoder.scaleout.release"
PROCESS_LABEL = "alphacoder.scaleout.process-of"
# The label that tells one setting from another
PARTS_LABEL = "alphacoder.scaleout.parts"

SHELLS = ("sh", "bash", "ash", "dash", "busybox")
SHELL_WORDS = ("&&", "||", "|", ";", "&", ">", ">>", "<", "2>&1")
# A word that ends a command, or a variable
SHELL_PART = re.compile(r"^[^ ]+;$|\$[A-Za-z_{(]")
# In app_container_options
FREE = frozenset(
    re.findall(
        r"\w+",
        "blkio_weight cgroup_parent cgroupns_mode cpu_period cpu_quota cpu_shares cpuset_cpus cpuset_mems "
        "device_cgroup_rules device_read_bps device_read_iops device_requests device_write_bps device_write_iops "
        "devices dns_opts dns_search_domains dns_servers domainname etc_hosts exposed_ports groups healthcheck "
        "hostname init interactive ipc_mode kernel_memory labels links log_driver log_options mac_address "
        "memory_reservation memory_swap memory_swappiness mounts network_mode networks oom_killer oom_score_adj "
        "pid_mode pids_limit platform privileged runtime security_opts shm_size stop_signal storage_opts sysctls tty "
        "ulimits userns_mode uts volume_driver volumes_from working_dir",
    )
)
# Options with a variable of their own
OWN = {
    "cap_drop": "app_capabilities, which names those that the container keeps",
    "capabilities": "app_capabilities",
    "command": "app_command",
    "cpus": "app_cpus",
    "entrypoint": "app_entrypoint",
    "env": "app_env",
    "env_file": "app_env",
    "image": "app_image",
    "memory": "app_memory",
    "name": "app_name",
    "publish_all_ports": "app_publish_port",
    "published_ports": "app_port, app_publish_address and app_publish_port",
    "read_only": "app_read_only",
    "state": "app_state",
    "stop_timeout": "app_stop_timeout",
    "tmpfs": "app_tmpfs",
    "user": "app_user",
    "volumes": "app_volumes",
}
# Options that decide when and how a container is made, replaced, kept or removed
ROLE = frozenset(
    re.findall(
        r"\w+",
        "auto_remove cleanup command_handling comparisons container_default_behavior default_host_ip detach force_kill "
        "healthy_wait_timeout image_comparison image_label_mismatch image_name_mismatch keep_volumes kill_signal "
        "networks_cli_compatible output_logs paused pull pull_check_mode_behavior recreate removal_wait_timeout "
        "restart restart_policy restart_retries",
    )
)
CAPABILITY = re.compile(r"(CAP_)?[A-Z][A-Z_]+")
MEMORY = re.compile(r"[1-9]\d*[bkmg]", re.IGNORECASE)
USER = re.compile(r"[\w.-]+(:[\w.-]+)?", re.ASCII)


def _more(options: t.Any) -> Iterator[str]:
    if not isinstance(options, dict):
        yield "app_container_options must be a dictionary, such as {shm_size: 256m}."
        return
    for name in sorted(map(str, options)):
        if name in OWN:
            yield f"app_container_options has {name}; set {OWN[name]} instead."
        elif name in ROLE:
            yield f"app_container_options has {name}; remove it, for the role decides how containers are replaced."
        elif name not in FREE:
            near = difflib.get_close_matches(name, [*FREE, *OWN], 1)
            hint = f"did you mean {near[0]}?" if near else "the options of community.docker.docker_container are."
            yield f"app_container_options has {name}, which is no option of a container; {hint}"
    labels = options.get("labels", {})
    if not isinstance(labels, dict):
        yield "app_container_options: labels must be a dictionary, such as {team: shop}."
    for label in (LABEL, RELEASE_LABEL, PROCESS_LABEL, PARTS_LABEL):
        if label in labels:
            yield f"app_container_options: labels has {label}, which is the role's own; take another name."
    if not isinstance(options.get("mounts", []), list):
        yield "app_container_options: mounts must be a list."
    mode = str(options.get("network_mode", ""))
    if mode in ("host", "none") or mode.startswith("container:"):
        yield (
            f"app_container_options: network_mode is '{mode}', with which Docker publishes no port; remove it, for the "
            "load balancer finds the app at app_publish_address and app_publish_port."
        )


def option_problems(settings: Settings) -> Iterator[str]:
    """A sentence for each problem."""
    command = settings.get("app_command") or []
    if not isinstance(command, str) and not _texts(command):
        yield f"app_command is {command!r}; it must be a text or a list of texts; put numbers into quotes."
    else:
        yield from shell_problems("app_command", command if not settings.get("app_entrypoint") else "")
    entrypoint = settings.get("app_entrypoint") or []
    if not _texts(entrypoint):
        yield f"app_entrypoint is {entrypoint!r}; it must be a list of texts, such as [/entrypoint.sh]."
    user = str(settings.get("app_user") or "")
    if user and not USER.fullmatch(user):
        yield f"app_user is '{user}'; it must be a user with or without a group, such as 10001:10001."
    capabilities = settings.get("app_capabilities") or []
    if not _texts(capabilities) or not all(CAPABILITY.fullmatch(one) for one in capabilities):
        yield f"app_capabilities is {capabilities!r}; it must be a list of Linux capabilities, such as [CHOWN, SETUID]."
    memory = str(settings.get("app_memory") or "")
    if memory and not MEMORY.fullmatch(memory):
        yield f"app_memory is '{memory}'; it must be a number with its unit (b, k, m, g), such as 512m."
    try:
        cpus = float(settings.get("app_cpus") or 0)
    except (TypeError, ValueError):
        cpus = -1
    if cpus < 0:
        yield f"app_cpus is {settings['app_cpus']}; it must be a number, such as 1.5, or 0 for no limit."
    yield from _more(settings.get("app_container_options") or {})


def shell_problems(name: str, command: str | list[str]) -> Iterator[str]:
    """What a command has that only a shell understands: the engine starts it without one."""
    if isinstance(command, list):
        if len(command) == 1 and " " in command[0].strip():
            yield f"{name} is one word with spaces, {command!r}. Write it as text, or as a list of its words."
        return
    try:
        words = shlex.split(command)
    except ValueError as error:
        yield f"{name} is {command!r}; it can't be split into words: {error}."
        return
    if any(word.rpartition("/")[2] in SHELLS for word in words):
        return
    if found := [word for word in words if word in SHELL_WORDS or SHELL_PART.search(word)]:
        yield (
            f"{name} has {found[0]}, which only a shell understands, and none runs it. Write [sh, -c, '…'], or a list "
            "of words if it means something to the program."
        )


def _texts(value: t.Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
