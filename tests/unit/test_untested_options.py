# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A variable that a playbook documents is one that some test sets."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import untested_options

TABLE = """---
# Puts the_release on app servers.
#
# Hosts: group the_app.
# Variables:
#   release        the image; default: app_image
#   deploy_batch   hosts at once

# Not a_variable
- hosts: all
"""
PROSE = """---
# Makes droplets.
#
# Variables (inventory/group_vars/all.yml): pool_size; those of group_vars and of deploy.yml;
# pool_max (default 0): how many <pool>_old may go.
- hosts: all
"""


@pytest.mark.parametrize(
    ("playbook", "names"),
    [(TABLE, ["release", "deploy_batch"]), (PROSE, ["pool_size", "pool_max"]), ("---\n# Does it.\n- hosts: all\n", [])],
)
def test_variables_of_a_header_are_found(playbook: str, names: list[str]) -> None:
    assert untested_options.playbook_variables(playbook) == names


def test_those_that_no_test_sets_are_listed(tmp_path: Path) -> None:
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks" / "deploy.yml").write_text(TABLE)
    # Nobody runs it alone
    (tmp_path / "playbooks" / "_part.yml").write_text(PROSE)

    assert untested_options.untested_variables(tmp_path, "-e release=x") == {"deploy.yml": ["deploy_batch"]}
    assert untested_options.untested_variables(tmp_path, "release: x\ndeploy_batch: 1") == {}
