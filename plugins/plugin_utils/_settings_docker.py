# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the settings of role docker."""

from __future__ import annotations

from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings import Settings, unknown_names

OPTIONS = ("docker_daemon_options",)


def docker_problems(settings: Settings) -> list[str]:
    """A sentence for each problem."""
    problems = unknown_names(settings, "docker", OPTIONS)
    options = settings.get("docker_daemon_options", {})
    if not isinstance(options, dict):
        problems.append("docker_daemon_options must be a dictionary, such as {live-restore: true}.")
    elif "hosts" in options:
        problems.append(
            "docker_daemon_options must not set 'hosts': the distribution's systemd unit already passes -H, and the "
            "daemon refuses to start when both do. Override the unit instead."
        )
    return problems
