# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the files that a user gives role haproxy come to be on the host."""

from __future__ import annotations

from ansible_collections.alphacoder.scaleout.plugins.filter.haproxy_files import haproxy_files

OF_HAPROXY = {"group": "haproxy", "mode": "0640"}


def test_each_file_has_its_place_and_keys_are_secret() -> None:
    certificates = [{"name": "example.org", "src": "example.pem"}, {"name": "shop", "content": "KEY"}]
    files = [
        {"name": "blocked.lst", "content": ""},
        {"name": "maps/of/hosts.map", "src": "hosts.map"},
        {"name": "maps/token", "content": "abc", "secret": True},
    ]

    assert haproxy_files(certificates, files, {503: "503.html", "maintenance": "/pages/later.html"}) == [
        # A folder comes before what is in it
        {"state": "directory", "dest": "/etc/haproxy/files/maps", "group": "haproxy", "mode": "0750"},
        {"state": "directory", "dest": "/etc/haproxy/files/maps/of", "group": "haproxy", "mode": "0750"},
        {"dest": "/etc/haproxy/certs/example.org.pem", "src": "example.pem", "secret": True, **OF_HAPROXY},
        {"dest": "/etc/haproxy/certs/shop.pem", "content": "KEY", "secret": True, **OF_HAPROXY},
        {"dest": "/etc/haproxy/files/blocked.lst", "content": "", "secret": False, **OF_HAPROXY},
        {"dest": "/etc/haproxy/files/maps/of/hosts.map", "src": "hosts.map", "secret": False, **OF_HAPROXY},
        {"dest": "/etc/haproxy/files/maps/token", "content": "abc", "secret": True, **OF_HAPROXY},
        {"dest": "/etc/haproxy/pages/503.html", "src": "503.html", "mode": "0644"},
        {"dest": "/etc/haproxy/pages/maintenance.html", "src": "/pages/later.html", "mode": "0644"},
    ]


def test_nothing_given_is_nothing() -> None:
    assert haproxy_files([], [], {}) == []
