# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the settings of role docker."""

from __future__ import annotations

import re

from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings import Settings, unknown_names
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_names import options_of

SOURCES = ("distribution", "docker")
# What apt reads in one word, without a slash at the end
ADDRESS = re.compile(r"https?://[A-Za-z0-9.:_~/-]*[A-Za-z0-9._~-]")
FINGERPRINT = re.compile(r"[0-9A-Fa-f]{40}")
USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def docker_problems(settings: Settings) -> list[str]:
    """A sentence for each problem."""
    problems = unknown_names(settings, "docker", options_of("docker"))
    options = settings.get("docker_daemon_options", {})
    if not isinstance(options, dict):
        problems.append("docker_daemon_options must be a dictionary, such as {live-restore: true}.")
    elif "hosts" in options:
        problems.append(
            "docker_daemon_options must not set 'hosts': the distribution's systemd unit already passes -H, and the "
            "daemon refuses to start when both do. Override the unit instead."
        )
    packages_from = settings.get("docker_packages_from", SOURCES[0])
    if packages_from not in SOURCES:
        problems.append(f"docker_packages_from is '{packages_from}'; it must be {' or '.join(SOURCES)}.")
    address = str(settings.get("docker_repository", "https://example.org"))
    if not ADDRESS.fullmatch(address):
        problems.append(
            f"docker_repository is '{address}'; it must be an address such as https://mirror.example.org/linux, "
            "without a slash at its end. The name of the distribution is added to it."
        )
    fingerprint = str(settings.get("docker_repository_fingerprint", "0" * 40))
    if not FINGERPRINT.fullmatch(fingerprint):
        problems.append(
            f"docker_repository_fingerprint is '{fingerprint}'; it must be the 40 digits of the key's whole "
            "fingerprint, without spaces."
        )
    users = settings.get("docker_users", [])
    if not isinstance(users, list):
        problems.append("docker_users must be a list of users of the host, such as [deploy].")
    else:
        wrong = [str(user) for user in users if not USER.fullmatch(str(user)) or user == "root"]
        if wrong:
            problems.append(
                f"docker_users has {', '.join(wrong)}; each must be the name of a user of the host, other than root, "
                "who may use the engine anyway."
            )
    return problems
