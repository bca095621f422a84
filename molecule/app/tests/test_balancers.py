# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What two load balancers make of one inventory."""

from __future__ import annotations

from collections import Counter

from greeting import PORT, Greeting, Guest


def test_load_balancers_agree_on_cookies(service: Greeting) -> None:
    one, other = (service.public_address(name) for name in service.balancers)
    for first, second in ((one, other), (other, one)):
        visitors = [Guest() for _ in range(4)]
        homes = [visitor.server(first) for visitor in visitors]
        assert set(homes) == set(service.group("app"))
        assert [visitor.server(second) for visitor in visitors for _ in range(3)] == [
            home for home in homes for _ in range(3)
        ]


def test_load_balancers_agree_on_weights(service: Greeting) -> None:
    for balancer in service.balancers:
        address = service.public_address(balancer)
        # host_vars/app-2.yml gives it half of what the other one has
        assert Counter(Guest().server(address) for _ in range(30)) == {"app-1": 20, "app-2": 10}


def test_load_balancers_have_the_app_s_port_and_backend(service: Greeting) -> None:
    for balancer in service.balancers:
        rows = [(row["pxname"], row["svname"], row["addr"]) for row in service.stats(balancer)]
        assert rows == [("greeting", name, f"{service.private_address(name)}:{PORT}") for name in service.group("app")]
