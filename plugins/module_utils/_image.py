# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: what the name of an image says.

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping

HUB = "docker.io"
# What clients of Docker Hub call it in the file of their logins
HUB_LOGIN = "https://index.docker.io/v1/"
# Of a container: the release as it was asked for, which has the tag, too, where the image is named by its digest
RELEASE_LABEL = "alphacoder.scaleout.release"


def registry_of(name: str) -> str:
    """The registry that has the image, as Docker reads its name."""
    first, slash, _rest = name.partition("/")
    return first if slash and (first == "localhost" or re.search(r"[.:]", first)) else HUB


def has_digest(name: str) -> bool:
    return "@" in name


def tagged(name: str) -> str:
    """The name with the tag that Docker takes where there is none."""
    return name if re.search(r"[:@][^/]+$", name) else f"{name}:latest"


def release_of(container: Mapping[str, t.Any]) -> str | None:
    """The release that a container runs, of what `docker inspect` says."""
    config = container.get("Config") or {}
    release = (config.get("Labels") or {}).get(RELEASE_LABEL) or config.get("Image")
    return str(release) if release else None
