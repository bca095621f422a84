#!/usr/bin/python
# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: container_log
short_description: Read the log of a container, or follow it
version_added: 0.1.0
author:
  - alphacoder (@alphacoder)
description:
  - Returns the newest log lines of a container. With O(follow), shows lines as they come, each after the name of its
    host, from as many hosts at once as Ansible has forks.
  - Reads by C(docker logs), over the connection of the host, which needs no Python.
  - One that follows goes on with the next container of the name, so that it can watch a deploy.
extends_documentation_fragment:
  - alphacoder.scaleout.attributes
  - alphacoder.scaleout.attributes.changes_nothing
options:
  name:
    description:
      - Name of the container.
    type: str
    required: true
  since:
    description:
      - Only lines from then on, as C(docker logs) takes it, such as V(10m) or V(2026-11-28T08:00:00Z).
      - Empty - from the start of the container.
    type: str
    default: ""
  lines:
    description:
      - At most so many lines of those, the newest. V(0) - all.
      - Counted before O(grep).
    type: int
    default: 100
  grep:
    description:
      - Only lines in which this regular expression (Python's) is found.
    type: str
    default: ""
  follow:
    description:
      - Show lines as they come, until O(seconds) have passed or the run is interrupted.
    type: bool
    default: false
  seconds:
    description:
      - How long to follow.
    type: int
    default: 3600
  env:
    description:
      - Environment of the container, whose secrets are not shown (P(alphacoder.scaleout.masked#filter)).
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Read what it said in the last ten minutes
  alphacoder.scaleout.container_log:
    name: shop
    since: 10m
    env: "{{ app_env }}"
  register: log
  become: true

- name: Watch it
  alphacoder.scaleout.container_log:
    name: shop
    follow: true
    grep: ERROR|WARNING
  become: true
"""

RETURN = r"""
lines:
  description: The lines; none where they were shown as they came.
  returned: success
  type: list
  elements: str
"""
