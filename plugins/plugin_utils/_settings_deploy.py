# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the variables of a roll-out."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings import not_between, unknown_names
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_app import IMAGE, IMAGE_HINT
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_names import (
    OF_ROLLOUT,
    PLAYBOOKS,
    options_of,
)

BATCH = re.compile(r"[1-9]\d*%?")


def deploy_problems(settings: dict[str, t.Any]) -> list[str]:
    """A sentence for each problem."""
    problems = unknown_names(settings, "deploy", PLAYBOOKS, owner="the playbooks")
    problems += unknown_names(settings, "scaleout", PLAYBOOKS, owner="the playbooks")
    # Those of the role itself may be for a playbook of the user's own
    problems += unknown_names(settings, "rollout", {*options_of("rollout"), *OF_ROLLOUT}, owner="the playbooks")
    for name in sorted(OF_ROLLOUT.keys() & settings):
        problems.append(f"{name} is what the playbooks give role rollout; set {OF_ROLLOUT[name]} instead.")
    release = settings.get("release")
    if release is not None and not IMAGE.fullmatch(str(release)):
        problems.append(f"release is '{release}'; it must be {IMAGE_HINT}.")
    batches = settings.get("deploy_batch", 1)
    for batch in batches if isinstance(batches, list) else [batches]:
        if not BATCH.fullmatch(str(batch)):
            problems.append(
                f"deploy_batch has '{batch}'; it must be a number of hosts or a percentage, such as 25%, or a list of "
                "those."
            )
    problems += not_between(settings, "deploy_drain_timeout", 0)
    problems += not_between(settings, "deploy_ready_timeout", 1)
    return problems
