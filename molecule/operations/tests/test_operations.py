# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events under 200 requests a second. `make bench-operations` prints and draws what they cost."""

from __future__ import annotations

from collections import Counter

import pytest
from support.events import EVENTS, IN_FLIGHT, Event
from support.measure import Result, measure
from support.service import LOG, Service, secrets_said


def told(result: Result) -> str:
    """What a failed assertion has to show."""
    errors = Counter(f"{request.status} {request.error}" for request in result.failed)
    return f"{len(result.failed)} of {len(result.requests)} failed: {errors.most_common(5)}\n{result.output[-3000:]}"


# What other tests show: each event takes a minute here. `make bench-operations` measures these, too.
ELSEWHERE = {
    # haproxy: test_50_reloads_fail_no_request
    "reload-haproxy",
    # default and app: idempotence
    "run-site",
    # Here: the first one of deploy-twice-at-once
    "deploy-good",
    # app: test_release_that_fails_goes_back_and_says_why
    "deploy-never-ready",
    # app: test_image_that_is_nowhere_changes_nothing
    "deploy-missing",
    # app: test_rollback_in_halves_takes_over_a_lock; own-app: test_rollback_runs_no_migration
    "rollback",
    # app: test_scale_out_brings_the_release_to_new_servers
    "scale-out",
    # app: test_scale_in_drains_on_both_before_it_removes
    "scale-in",
}


@pytest.mark.parametrize(
    "event", [pytest.param(event, id=event.name) for event in EVENTS if event.name not in ELSEWHERE]
)
def test_event(service: Service, event: Event) -> None:
    result = measure(service, event.run)

    assert (result.code == 0) == event.succeeds, result.output
    assert all(text in result.output for text in event.says), result.output
    assert "Traceback" not in result.output
    assert result.lost <= 0, told(result)
    if event.failed is not None:
        assert len(result.failed) <= event.failed, told(result)
    else:
        assert len(result.turned_away) <= IN_FLIGHT, told(result)
    # A hit that is on record without its page: the answer was on its way, or the client or HAProxy asked for it again.
    # HAProxy does that only where something died.
    by_haproxy = result.retried if event.whole is not None else 0
    assert -result.lost <= len(result.failed) + result.again + by_haproxy, told(result)
    if event.whole is not None:
        assert result.whole - (result.ended - result.began) <= event.whole, result.views


def test_no_event_and_no_status_says_a_secret(service: Service) -> None:
    status = service.play("playbooks/status.yml")
    assert status.returncode == 0, status.stdout
    assert "Nothing differs from the inventory." in status.stdout
    assert "Replace | Let the former one finish its requests" in LOG.read_text()
    assert secrets_said() == []
