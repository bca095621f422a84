# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose keys are in a file of OpenPGP keys."""

from __future__ import annotations

DOCUMENTATION = r"""
name: openpgp_fingerprints
short_description: Whose keys are in a file of OpenPGP keys
version_added: 0.1.0
author: Alphacoder (@alphacoder)
description:
  - Says the fingerprint of each primary key, so that a key that was fetched can be compared with one that is known.
    Needs no GnuPG.
options:
  _input:
    description: Keys in ASCII armor.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Check whose key it is
  ansible.builtin.assert:
    that: key.content | alphacoder.scaleout.openpgp_fingerprints == ['9DC858229FC7DD38854AE2D88D81803C0EBFCD88']
"""

RETURN = r"""
_value:
  description:
    - The fingerprint of each primary key in upper case. C(unknown) stands for a key of another version than 4, and for
      anything in the file that can't be read. Nothing where there is no armor.
  type: list
  elements: str
"""

import base64
import binascii
import hashlib
import re
import typing as t
from collections.abc import Iterator

ARMOR = re.compile(r"-----BEGIN PGP PUBLIC KEY BLOCK-----(.*?)-----END PGP PUBLIC KEY BLOCK-----", re.DOTALL)
PUBLIC_KEY = 6


def packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The packets of a message, by their tags."""
    while data:
        head, data = data[0], data[1:]
        if not head & 0x80:
            raise ValueError("no packet")
        if head & 0x40:
            tag, first = head & 0x3F, data[0]
            size = 1 if first < 192 else 2 if first < 224 else 5
            length = {
                1: first,
                2: (first - 192 << 8) + data[size - 1] + 192,
                5: int.from_bytes(data[1:5], "big"),
            }[size]
            if first in range(224, 255):
                raise ValueError("a key has no partial length")
        else:
            tag, size = head >> 2 & 0x0F, (1, 2, 4, 0)[head & 3]
            length = int.from_bytes(data[:size], "big")
            if not size:
                raise ValueError("a key has a length")
        body, data = data[size : size + length], data[size + length :]
        if len(body) != length:
            raise ValueError("cut short")
        yield tag, body


def fingerprint(body: bytes) -> str:
    """Of a public key packet."""
    if body[:1] != b"\x04":
        return "unknown"
    return hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body, usedforsecurity=False).hexdigest().upper()


def openpgp_fingerprints(text: str) -> list[str]:
    """The fingerprint of each primary key. See DOCUMENTATION."""
    found = []
    for block in ARMOR.findall(text.replace("\r", "")):
        # Headers end with an empty line, and a line with = at its start is the checksum
        lines = block.partition("\n\n")[2].split()
        try:
            data = base64.b64decode("".join(line for line in lines if not line.startswith("=")), validate=True)
            found += [fingerprint(body) for tag, body in packets(data) if tag == PUBLIC_KEY]
        except (ValueError, IndexError, binascii.Error):
            found.append("unknown")
    return found


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"openpgp_fingerprints": openpgp_fingerprints}
