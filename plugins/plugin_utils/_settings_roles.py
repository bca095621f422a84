# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: what is wrong with the variables of a role: with their types, and then with what they say.

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping

from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings import Settings
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_app import app_problems
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_docker import docker_problems
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_haproxy import haproxy_problems
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_hits import hits_problems
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_names import options_of
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_postgresql import postgresql_problems
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_redis import redis_problems
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_types import type_problems

PROBLEMS: dict[str, t.Callable[..., list[str]]] = {
    "app": app_problems,
    "docker": docker_problems,
    "haproxy": haproxy_problems,
    "hits": hits_problems,
    "postgresql": postgresql_problems,
    "redis": redis_problems,
}
WORD = re.compile(r"\w+")


def problems_of_role(role: str, settings: Settings, failed: Mapping[str, str], **more: t.Any) -> list[str]:
    """A sentence for each problem. `failed`: variables that have no value, and why."""
    options = options_of(role)
    wrong = type_problems(settings, options, set(failed))
    sound = {name: value for name, value in settings.items() if name not in wrong and name not in failed}
    problems = [f"{name}: {reason}{'' if reason.endswith('?') else '.'}" for name, reason in failed.items()]
    problems += [problem for name in wrong for problem in wrong[name]]
    named = {*wrong, *failed}
    # What is named already may be all that is wrong with another variable
    others = [one for one in PROBLEMS[role](sound, **more) if named.isdisjoint(WORD.findall(one.split("; did you")[0]))]
    return problems + others
