# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the image of the hits app is like on the hosts."""

from __future__ import annotations

import os

from service import Service, wait_until

BASE = os.environ.get("HITS_BASE_IMAGE", "python:3.13-slim")


def test_every_host_runs_the_one_image_that_was_built(service: Service) -> None:
    images = {
        service.host(name).check_output("docker inspect --format {{.Image}} hits") for name in service.group("app")
    }
    assert len(images) == 1

    builders = [
        name for name in service.group("app") if service.host(name).run("docker image inspect %s", BASE).rc == 0
    ]
    assert len(builders) == 1


def test_image_is_less_than_100_mb_above_its_base(service: Service) -> None:
    for name in service.group("app"):
        host = service.host(name)
        if host.run("docker image inspect %s", BASE).rc == 0:
            image = host.check_output("docker inspect --format {{.Image}} hits")
            sizes = host.check_output("docker image inspect --format {{.Size}} %s %s", image, BASE).split()
            assert 0 < int(sizes[0]) - int(sizes[1]) < 100 * 10**6
            return
    raise AssertionError(f"no host has {BASE}")


def test_app_starts_without_a_shell_and_says_what_it_lacks(service: Service) -> None:
    host = service.host(service.group("app")[0])
    image = host.check_output("docker inspect --format {{.Image}} hits")
    hidden = "--volume /dev/null:/usr/bin/dash:ro --volume /dev/null:/usr/bin/bash:ro"
    done = host.run(f"docker run --rm --network none --read-only --cap-drop ALL {hidden} %s", image)

    assert done.rc == 1
    assert done.stderr.splitlines() == [
        "hits: DATABASE_URL is not set; it must look like postgresql://user:password@address:5432/database"
    ]


def test_engine_says_that_the_app_is_healthy(service: Service) -> None:
    for name in service.group("app"):
        state = "docker inspect --format {{.State.Health.Status}} hits"
        host = service.host(name)
        wait_until(f"{name} healthy", lambda host=host, state=state: host.check_output(state) == "healthy", 60)
