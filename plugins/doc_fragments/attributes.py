# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Can run in C(check_mode) and says what it would change, without changing anything.
  diff_mode:
    description: Returns what it changed, or in C(check_mode) would change, when in diff mode.
  idempotent:
    description:
      - When run twice in a row with the same arguments, the second run changes nothing.
"""

    ACTION_GROUP = r"""
attributes:
  action_group:
    description: Use C(group/alphacoder.scaleout.all) in C(module_defaults) to set the API's options for this module.
    support: full
    membership:
      - alphacoder.scaleout.all
"""
