# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Droplets on one Linux machine: a subset of the DigitalOcean API v2 over the Docker engine."""
