# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For the tests of a user's own app."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from greeting import INVENTORY, Greeting
from neighbour import NAME, Neighbour
from support.waiting import wait_until


@pytest.fixture(scope="session")
def service() -> Greeting:
    os.environ["ANSIBLE_INVENTORY"] = str(INVENTORY)
    return Greeting()


@pytest.fixture(scope="session", autouse=True)
def neighbour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbour]:
    """It is there all the time, so that the last tests can say whether anything reached it."""
    neighbour = Neighbour(tmp_path_factory.mktemp("neighbour"))
    neighbour.playbook("provision")
    neighbour.serve()
    wait_until("the neighbour serves", neighbour.answers)
    neighbour.before, neighbour.visited = neighbour.droplets(), neighbour.visits()
    yield neighbour
    neighbour.playbook("destroy", scaleout_destroy=NAME)
