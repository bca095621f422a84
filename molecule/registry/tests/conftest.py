# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For the tests of an app from a registry."""

from __future__ import annotations

import os

import pytest
from talk import INVENTORY, Talk


@pytest.fixture(scope="session")
def service() -> Talk:
    os.environ["ANSIBLE_INVENTORY"] = str(INVENTORY)
    return Talk()
