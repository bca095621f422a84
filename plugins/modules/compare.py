#!/usr/bin/python
# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: compare
short_description: Compare a host with the packages, files and services that are wanted
version_added: 0.1.0
author:
  - alphacoder (@alphacoder)
description:
  - Says which packages, files and services of a Debian or Ubuntu host differ from what is wanted, and changes nothing.
  - Runs one shell command on the host, which needs no Python there, so that a role that finds nothing to do costs
    little more than that. What differs is then a matter of the usual modules, which tell the truth in check and diff
    mode.
  - Contents are compared by their checksums on the controller. They are never in the result nor in the command.
extends_documentation_fragment:
  - alphacoder.scaleout.attributes
  - alphacoder.scaleout.attributes.changes_nothing
options:
  packages:
    description:
      - Names of Debian packages that must be installed, of any version. A virtual package counts as missing.
      - Of C(docker.io | docker-ce) any one will do, as in the dependencies of a package.
    type: list
    elements: str
    default: []
  files:
    description:
      - Files and directories. Each has one of O(files[].template), O(files[].src), O(files[].content) and
        O(files[].state).
      - A link in the place of a file differs; a link to a directory is a directory.
    type: list
    elements: dict
    default: []
    suboptions:
      dest:
        description:
          - Absolute path on the host.
        type: str
        required: true
      template:
        description:
          - A template on the controller, found and rendered as M(ansible.builtin.template) does.
        type: str
      src:
        description:
          - A file on the controller, found as M(ansible.builtin.copy) does.
        type: str
      content:
        description:
          - The content itself, as for M(ansible.builtin.copy).
        type: raw
      state:
        description:
          - Whether O(files[].dest) must be a file of any content, a directory, or not there.
        type: str
        choices: [file, directory, absent]
      owner:
        description:
          - Name or number of the owner. If not set, anyone.
        type: str
      group:
        description:
          - Name or number of the group. If not set, any group.
        type: str
      mode:
        description:
          - Permissions, octal and in quotes. If not set, any.
        type: raw
      validate:
        description:
          - For the task that writes the file; only returned.
        type: str
      notify:
        description:
          - For the task that writes the file; only returned.
        type: raw
      secret:
        description:
          - Whether that task shows no diff; only returned.
        type: bool
  services:
    description:
      - Units of systemd. A name without a suffix is that of a service.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - Name of the unit.
        type: str
        required: true
      state:
        description:
          - Whether the unit must be active.
        type: str
        choices: [started, stopped]
        default: started
      enabled:
        description:
          - Whether the unit must start at boot.
        type: bool
        default: true
      newer_than:
        description:
          - Files that the service reads when it starts or is reloaded. A service whose last start or reload is older
            than one of them is in RV(stale). That finds what a run left that ended between writing a file and its
            handler.
          - A file that is not there counts as read.
        type: list
        elements: str
        default: []
seealso:
  - module: ansible.builtin.template
  - module: ansible.builtin.copy
  - module: ansible.builtin.systemd_service
"""

EXAMPLES = r"""
- name: Compare the host with what is wanted
  alphacoder.scaleout.compare:
    packages: [redis-server]
    files:
      - {template: redis.conf.j2, dest: /etc/redis/redis.conf, owner: redis, group: redis, mode: "0640"}
      - {state: directory, dest: /etc/redis/redis.conf.d, owner: root, group: root, mode: "0755"}
    services:
      - {name: redis-server, newer_than: [/etc/redis/redis.conf]}
  become: true
  register: compared

- name: Install the packages
  ansible.builtin.apt:
    name: "{{ compared.packages }}"
  when: compared.packages | length > 0
  become: true

- name: Write the files
  ansible.builtin.template:
    src: "{{ item.template }}"
    dest: "{{ item.dest }}"
    owner: "{{ item.owner }}"
    group: "{{ item.group }}"
    mode: "{{ item.mode }}"
  loop: "{{ compared.files | selectattr('template', 'defined') }}"
  become: true
  notify: Restart Redis
"""

RETURN = r"""
packages:
  description: Those of O(packages) that are not installed.
  returned: always
  type: list
  elements: str
files:
  description:
    - Those of O(files), as they were given but without C(content), that are missing or have another content, owner,
      group or mode.
  returned: always
  type: list
  elements: dict
services:
  description: Names of those of O(services) that are not active or enabled as wanted.
  returned: always
  type: list
  elements: str
stale:
  description: Names of the other services that have not read what O(services[].newer_than) names.
  returned: always
  type: list
  elements: str
same:
  description: Whether the four lists are empty.
  returned: always
  type: bool
"""
