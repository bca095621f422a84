# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which packages bring a host its container engine, and why that may not be."""

from __future__ import annotations

DOCUMENTATION = r"""
name: docker_plan
short_description: Which packages bring a host its container engine, and why that may not be
version_added: 0.1.0
author: Alphacoder (@alphacoder)
description:
  - A host has one engine, that of its distribution (C(docker.io)) or Docker's own (C(docker-ce)). One takes the place
    of the other only by removing it, which ends its containers, so that is never planned.
positional: host, packages_from, own_source, separate_client
options:
  _input:
    description: The packages that are missing, as M(alphacoder.scaleout.compare) names them.
    type: list
    elements: str
    required: true
  host:
    description:
      - What the host has. A line C(package NAME installed) for each package of an engine, and the path of each file
        that names Docker's repository as a package source.
    type: list
    elements: str
    required: true
  packages_from:
    description: What C(docker_packages_from) of role P(alphacoder.scaleout.docker#role) is.
    type: str
    choices: [distribution, docker]
    required: true
  own_source:
    description: The path of the one that the role writes.
    type: str
    required: true
  separate_client:
    description: Whether the distribution has the client in a package of its own.
    type: bool
    required: true
"""

EXAMPLES = r"""
- name: Plan the installation
  ansible.builtin.set_fact:
    plan: "{{ ['docker.io | docker-ce'] | alphacoder.scaleout.docker_plan(lines, 'distribution', file, false) }}"
  vars:
    lines: [package docker-ce installed, /etc/apt/sources.list.d/docker.list]
    file: /etc/apt/sources.list.d/scaleout-docker.sources
"""

RETURN = r"""
_value:
  description: C(packages) to install, and C(problem), why they may not be, or nothing.
  type: dict
"""

import typing as t
from collections.abc import Collection

DISTRIBUTION = ("docker.io", "docker-cli", "containerd", "runc", "podman-docker")
DOCKER = ("docker-ce", "docker-ce-cli", "containerd.io")
HOW = (
    "Going from one to the other stops its containers and is done by hand: take the host out of service, on the host "
    "run 'apt-get remove {packages}', then run this again. Images and volumes stay in /var/lib/docker."
)


def problem_of(installed: Collection[str], packages_from: str, others: list[str], own: bool) -> str:
    """Why the packages that are wanted may not be installed."""
    conflicting = sorted({*installed} & {*(DISTRIBUTION if packages_from == "docker" else DOCKER)})
    remedy = HOW.format(packages=" ".join(conflicting))
    if packages_from == "docker":
        if conflicting:
            return (
                f"docker_packages_from is docker, but this host has {', '.join(conflicting)} of its distribution, "
                f"which Docker's packages would remove. Set docker_packages_from to distribution to keep that. {remedy}"
            )
        if others:
            return (
                f"docker_packages_from is docker, but {', '.join(others)} has Docker's repository already, and apt "
                "refuses to have it twice with two keys. Remove that file from the host; or set docker_packages_from "
                "to distribution, which keeps Docker's engine where the host has it."
            )
        return ""
    if own and "docker-ce" in conflicting:
        return (
            "docker_packages_from is distribution, but this host has Docker's packages, which this role installed. Set "
            f"docker_packages_from to docker to keep them. {remedy}"
        )
    if conflicting and "docker-ce" not in conflicting:
        return (
            f"docker_packages_from is distribution, but this host has {', '.join(conflicting)} of Docker, which the "
            f"distribution's engine would remove. Set docker_packages_from to docker to keep that. {remedy}"
        )
    return ""


def docker_plan(
    missing: list[str], host: list[str], packages_from: str, own_source: str, separate_client: bool
) -> dict[str, t.Any]:
    """The packages and the problem. See DOCUMENTATION."""
    installed = [words[1] for line in host if (words := line.split())[0] == "package" and words[2:] == ["installed"]]
    sources = [line for line in host if line.startswith("/")]
    others = [source for source in sources if source != own_source]
    problem = problem_of(installed, packages_from, others, own_source in sources)
    packages = [name for name in missing if "|" not in name]
    if packages_from == "distribution" and "docker-ce" not in installed:
        packages = ["docker.io", *(["docker-cli"] if separate_client else []), *packages]
    return {"packages": packages, "problem": problem}


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"docker_plan": docker_plan}
