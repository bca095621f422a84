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
      - Where HAProxy's runtime API is, as a C(stats socket) line of its configuration says it. Either the path
        of a UNIX socket, or V(host:port) for one over TCP.
    type: str
    default: /run/haproxy/admin.sock
notes:
  - Runs on the load balancer, with C(hosts) or C(delegate_to). For several load balancers the play's hosts are
    the load balancers.
  - Works with HAProxy 2.4 to 3.2. On the load balancer it needs Python 3.9 and no other program.
"""
