# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the image of the hits app is like on the hosts."""

from __future__ import annotations

import os
from pathlib import Path

from support.service import Service
from support.waiting import wait_until

BASE = os.environ.get("HITS_BASE_IMAGE", "python:3.13-slim")
# As `docker save` made it, which packs nothing
ARCHIVE = os.environ.get("HITS_BASE_IMAGE_ARCHIVE", "")


def test_every_host_runs_the_one_image_that_was_built(service: Service) -> None:
    images = {
        service.host(name).check_output("docker inspect --format {{.Image}} hits") for name in service.group("app")
    }
    assert len(images) == 1

    # None where the controller had built it for an earlier run
    assert len(builders(service)) <= 1


def builders(service: Service) -> list[str]:
    """Hosts that have the base image, because they built the app's."""
    return [name for name in service.group("app") if service.host(name).run("docker image inspect %s", BASE).rc == 0]


def test_image_is_less_than_100_mb_above_its_base(service: Service) -> None:
    host = service.host((builders(service) or service.group("app"))[0])
    size = "docker image inspect --format {{.Size}} %s"
    image = int(host.check_output(size, host.check_output("docker inspect --format {{.Image}} hits")))
    base = int(host.check_output(size, BASE)) if builders(service) else Path(ARCHIVE).stat().st_size

    assert 0 < image - base < 100 * 10**6


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
