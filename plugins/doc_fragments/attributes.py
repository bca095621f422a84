# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Can run in C(check_mode) and return what it would change, without changing anything.
  diff_mode:
    description: Returns in diff mode what it changed, or what it would change in C(check_mode).
  idempotent:
    description:
      - Running it again with the same arguments changes nothing.
"""

    # Of what only reads, beside the descriptions above
    CHANGES_NOTHING = r"""
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
  idempotent:
    support: full
"""

    ACTION_GROUP = r"""
attributes:
  action_group:
    description: Use C(group/alphacoder.scaleout.all) in C(module_defaults) to set the API's options once.
    support: full
    membership:
      - alphacoder.scaleout.all
"""
