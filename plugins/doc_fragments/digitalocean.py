# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  api_token:
    description:
      - The DigitalOcean API token. It needs the scopes to read, create, delete and tag droplets, to read SSH
        keys, and to read reserved IPs if a droplet has one.
      - If not set, the first of the environment variables E(DIGITALOCEAN_TOKEN),
        E(DIGITALOCEAN_ACCESS_TOKEN) and E(DO_API_TOKEN) that is there.
    type: str
  api_url:
    description:
      - Where the API is. Plain C(http) is refused unless it goes to this very machine.
      - If not set, the environment variable E(DIGITALOCEAN_API_URL), or else DigitalOcean itself.
    type: str
    default: https://api.digitalocean.com/v2
  timeout:
    description: How many seconds to wait for the API to answer one request.
    type: int
    default: 30
  retries:
    description:
      - How often a request is sent again after an answer that says to come back later, a failure of the
        server or of the connection. The pauses grow from half a second to 8 seconds; the API may ask for up
        to 60 seconds itself.
      - A request that creates droplets is not sent again when it is unclear whether it was carried out.
    type: int
    default: 4
  validate_certs:
    description: Whether the API's certificate must be one that this machine trusts.
    type: bool
    default: true
"""
