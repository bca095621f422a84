# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: keeps the secrets of an app's environment out of what is shown of the app.

from __future__ import annotations

import re
import typing as t
import urllib.parse
from collections.abc import Mapping

MASK = "***"
SECRET_NAME = re.compile(r"KEY|SECRET|TOKEN|PASS|PWD|CREDENTIAL|DSN|AUTH|SALT", re.IGNORECASE)
URL_PASSWORD = re.compile(r"://[^/@:\s]*:([^/@\s]+)@")
# A shorter one would be found in words
SHORTEST = 6


def secrets(env: Mapping[str, t.Any]) -> list[str]:
    """What nobody may see of an environment, the longest first: passwords in URLs, and values whose names say so."""
    found = set()
    for name, value in env.items():
        text = str(value)
        if SECRET_NAME.search(str(name)):
            # Of a key in several lines, each is one
            found |= {text, *text.splitlines()}
        for password in URL_PASSWORD.findall(text):
            found |= {password, urllib.parse.unquote(password)}
    return sorted((one for one in found if len(one) >= SHORTEST), key=len, reverse=True)


def masked(text: str, env: Mapping[str, t.Any]) -> str:
    for secret in secrets(env):
        text = text.replace(secret, MASK)
    return text
