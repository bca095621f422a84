# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For the tests of a user's own app."""

from __future__ import annotations

import os

import pytest
from greeting import INVENTORY, Greeting


@pytest.fixture(scope="session")
def service() -> Greeting:
    os.environ["ANSIBLE_INVENTORY"] = str(INVENTORY)
    return Greeting()
