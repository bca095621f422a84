# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For the tests of the shop."""

from __future__ import annotations

import os

import pytest
from shop import INVENTORY, Shop


@pytest.fixture(scope="session")
def shop() -> Shop:
    os.environ["ANSIBLE_INVENTORY"] = str(INVENTORY)
    return Shop()
