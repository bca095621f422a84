# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A text without the secrets of an app's environment."""

from __future__ import annotations

DOCUMENTATION = r"""
name: masked
short_description: A text without the secrets of an app's environment
version_added: 0.1.0
author: Alphacoder (@alphacoder)
description:
  - Puts C(***) where a text has a secret of an environment, which is the password in a URL, or the value of a variable
    whose name has C(KEY), C(SECRET), C(TOKEN), C(PASS), C(PWD), C(CREDENTIAL), C(DSN), C(AUTH) or C(SALT).
  - Anything shorter than 6 characters is not looked for, nor is a secret in another form, such as a hash of it.
positional: env
options:
  _input:
    description: The text.
    type: str
    required: true
  env:
    description: The environment, such as C(app_env) of role P(alphacoder.scaleout.app#role).
    type: dict
    required: true
"""

EXAMPLES = r"""
msg: "{{ output.stdout | alphacoder.scaleout.masked(app_env) }}"
"""

RETURN = r"""
_value:
  description: The text.
  type: str
"""

import typing as t

from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._masked import masked


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"masked": masked}
