# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  api_token:
    description:
      - The DigitalOcean API token. To read, it needs the scopes C(droplet:read) and C(tag:read), and
        C(reserved_ip:read) if a droplet has a reserved IP. To make droplets, it needs C(ssh_key:read), C(image:read),
        C(vpc:read), C(droplet:create), C(droplet:update) and C(tag:create), too; to remove them, C(droplet:delete).
      - If not set, the first of the environment variables E(DIGITALOCEAN_TOKEN), E(DIGITALOCEAN_ACCESS_TOKEN) and
        E(DO_API_TOKEN) that is set.
    type: str
  api_url:
    description:
      - The URL of the API. Plain C(http) is refused, except to this machine itself.
      - If not set, the environment variable E(DIGITALOCEAN_API_URL), or else DigitalOcean.
    type: str
    default: https://api.digitalocean.com/v2
  timeout:
    description: How many seconds to wait for the API's answer to a request.
    type: int
    default: 30
  retries:
    description:
      - How often to repeat a request when the API asks to come back later, or the server or the connection fails. The
        pauses grow from half a second to 8 seconds; the API itself may ask for up to 60 seconds, or for as many as
        O(wait_timeout) has.
      - A request that creates droplets is not repeated if it may have been carried out.
    type: int
    default: 4
  validate_certs:
    description: Whether this machine must trust the API's certificate.
    type: bool
    default: true
"""
