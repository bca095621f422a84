# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
attributes:
  action_group:
    description: Use C(group/alphacoder.scaleout.haproxy) in C(module_defaults) to set O(socket) once.
    support: full
    membership:
      - alphacoder.scaleout.haproxy
options:
  socket:
    description:
      - HAProxy's runtime API, as in a C(stats socket) line of its configuration. Either the path of a UNIX socket, or
        V(host:port) for a TCP socket.
    type: str
    default: /run/haproxy/admin.sock
notes:
  - Run it on the load balancer, with C(hosts) or C(delegate_to), and on each one if there are several.
  - Works with HAProxy 2.4 to 3.2. The load balancer needs Python 3.9 or later, and no other program.
"""
