# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to a Django app with migrations, workers, a scheduler and uploads, while customers order.

Each test goes on where the former one ended.
"""

from __future__ import annotations

import pytest
from shop import DOMAIN, NAME, Business, Done, Shop
from support.service import LOG


def check_business(shop: Shop, business: Business, done: Done) -> None:
    """No page failed, no asset was missing, no order was refused, lost or done twice."""
    assert business.failed == [], done.stdout
    assert business.refused == []
    assert len(business.orders) > 10
    assert {order: count for order, count in shop.done().items() if count != 1} == {}


def test_first_run_migrated_once_and_started_all(shop: Shop) -> None:
    assert shop.state()["migrated"] == ["1"]
    assert shop.all_run("1")
    assert shop.ask("/")[1].startswith(b"1 app-")


def test_secrets_are_in_no_environment(shop: Shop) -> None:
    said = shop.host("app-1").check_output("docker inspect %s", NAME)
    assert "a-secret-of-the-app" not in said


def test_uploads_outlive_a_release(shop: Shop) -> None:
    # Two servers have a disk each: both get it, as often as it takes
    while not all(shop.host(host).file("/srv/uploads/cat").exists for host in shop.group("app")):
        assert shop.ask("/upload/cat", "PUT", b"meow")[0] == 200


def test_deploy_migrates_once_and_loses_no_page_and_no_order(shop: Shop) -> None:
    with shop.open() as business:
        done = shop.playbook("deploy", release=shop.image("2"))

    assert done.returncode == 0, done.stdout
    check_business(shop, business, done)
    assert shop.state()["migrated"] == ["1", "2"]
    assert shop.all_run("2")
    assert "app_after_release of" in done.stdout
    assert shop.ask("/upload/cat") == (200, b"meow")
    # The clock stopped on the one before it began on the other: there is only one
    assert set(shop.state()["ticks"]) == {"app-1-clock-1"}


def test_deploy_of_the_same_release_migrates_no_more(shop: Shop) -> None:
    done = shop.playbook("deploy", release=shop.image("2"))

    assert done.returncode == 0, done.stdout
    assert shop.state()["migrated"] == ["1", "2"]


@pytest.mark.parametrize(
    ("release", "says", "migrated"),
    [
        ("bad-migration", ["shop_order", "does not exist", "No server was changed."], ["1", "2"]),
        (
            "dead-worker",
            ["shop-worker-1", "the worker cannot read its configuration", "The former containers run again."],
            ["1", "2", "dead-worker"],
        ),
    ],
)
def test_bad_release_changes_nothing(shop: Shop, release: str, says: list[str], migrated: list[str]) -> None:
    with shop.open() as business:
        done = shop.playbook("deploy", release=shop.image(release))

    assert done.returncode != 0
    text = " ".join(done.stdout.split())
    assert [part for part in says if part not in text] == [], done.stdout
    check_business(shop, business, done)
    assert shop.state()["migrated"] == migrated
    assert shop.all_run("2")


def test_rollback_runs_no_migration(shop: Shop) -> None:
    with shop.open() as business:
        done = shop.playbook("rollback")

    assert done.returncode == 0, done.stdout
    check_business(shop, business, done)
    assert shop.state()["migrated"] == ["1", "2", "dead-worker"]
    assert shop.all_run("1")


def test_rollback_runs_the_release_s_commands_if_told(shop: Shop) -> None:
    done = shop.playbook("rollback", deploy_release_commands=True)

    assert done.returncode == 0, done.stdout
    assert shop.state()["migrated"] == ["1", "2", "dead-worker", "2"]
    assert shop.all_run("2")


def test_command_that_takes_too_long_is_ended(shop: Shop) -> None:
    command = ["sh", "-c", "echo so far; sleep 60"]
    done = shop.playbook("deploy", release=shop.image("1"), app_before_release=command, app_run_timeout=3)

    assert done.returncode != 0
    text = " ".join(done.stdout.split())
    assert "so far It did not end within app_run_timeout, 3 s, and was ended. No server was changed." in text, text
    assert shop.all_run("2")


def test_process_that_is_no_longer_wanted_ends(shop: Shop) -> None:
    worker = {"command": ["python3", "manage.py", "work"], "replicas": 1, "stop_timeout": 60}
    with shop.open() as business:
        done = shop.play("site.yml", "--extra-vars", f'{{"app_processes": {{"worker": {worker}}}}}'.replace("'", '"'))

    assert done.returncode == 0, done.stdout
    check_business(shop, business, done)
    assert [sorted(names) for names in shop.containers().values()] == [[NAME, f"{NAME}-worker-1"]] * 2


def test_workers_of_a_server_that_leaves_finish_their_jobs(shop: Shop) -> None:
    assert shop.play("site.yml").returncode == 0
    with shop.open() as business:
        done = shop.playbook("scale", app_count=1)

    assert done.returncode == 0, done.stdout
    check_business(shop, business, done)


def test_no_secret_was_said(shop: Shop) -> None:
    assert [word for word in LOG.read_text().split() if "a-secret-of-the-" in word] == []
    assert shop.ask("/", "HEAD")[0] == 200, DOMAIN
