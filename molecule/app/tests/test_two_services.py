# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two services in one account, after everything that the other tests did to the first of them."""

from __future__ import annotations

from greeting import Greeting
from neighbour import NAME, Neighbour


def test_neighbour_noticed_nothing(neighbour: Neighbour) -> None:
    assert neighbour.droplets() == neighbour.before
    # Those of the tests only: no load balancer asked
    assert neighbour.visits() == {name: count + 1 for name, count in neighbour.visited.items()}


def test_service_noticed_nothing_of_the_neighbours_end(service: Greeting, neighbour: Neighbour) -> None:
    before, containers = neighbour.droplets("greeting"), service.containers()
    assert sorted(before) == ["app-1", "app-2", "lb-1", "lb-2"]
    with service.visited() as seen:
        said = neighbour.playbook("destroy", scaleout_destroy=NAME)

    assert f"Of service {NAME}: lb-1, app-1" in said
    assert neighbour.droplets() == {}
    assert neighbour.droplets("greeting") == before
    assert service.containers() == containers
    assert seen.failed == []
