# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A collection in a worker leaves the main process's objects alone."""

from __future__ import annotations

import gc

from ansible_collections.alphacoder.scaleout.plugins.callback.frozen_heap import CallbackModule


def test_collector_does_not_see_what_was_there_when_a_play_began() -> None:
    mine: list[object] = []
    mine.append(mine)
    gc.unfreeze()
    try:
        CallbackModule().v2_playbook_on_play_start(None)
        assert gc.get_freeze_count() > 0
        assert not any(one is mine for generation in range(3) for one in gc.get_objects(generation))
    finally:
        gc.unfreeze()
    assert any(one is mine for one in gc.get_objects(2))
