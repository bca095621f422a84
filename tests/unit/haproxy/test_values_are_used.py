# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A value that a user writes stands in haproxy.cfg, or is refused: each variable and each key alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings_haproxy import haproxy_problems
from haproxy_role import ROLE, SERVERS, defaults, render

OPTIONS = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
# They are for other files
ELSEWHERE = {
    "haproxy_certificates",
    "haproxy_files",
    "haproxy_install_from",
    "haproxy_log_days",
    "haproxy_maintenance_page",
    "haproxy_sysctl",
}
# A value, and the text that it has to leave behind
RAW = ("of-the-user", "of-the-user")
SAMPLES: dict[str, tuple[Any, str]] = {
    "allow": (["192.0.2.99"], "192.0.2.99"),
    "backup": (True, " backup"),
    "bind": ("*:8099", "bind *:8099"),
    "check": (False, "no-check"),
    "cookie": ("SRV insert", "cookie SRV insert"),
    "deny": (["192.0.2.99"], "192.0.2.99"),
    "disabled": (True, " disabled"),
    "error_pages": ({500: "500.html"}, "http-error status 500"),
    "hard_stop_after": ("77s", "hard-stop-after 77s"),
    "http_check": ("expect status 299", "http-check expect status 299"),
    "http_request": ("set-header X-By lb", "http-request set-header X-By lb"),
    "http_reuse": ("never", "http-reuse never"),
    "maintenance": (True, "maintenance.html"),
    "mode": ("tcp", "mode tcp"),
    "name": ("another", "another"),
    "port": (8099, "192.0.2.1:8099"),
    "rate_limit": ({"requests": 77, "period": "7s"}, "gt 77"),
    "slowstart": ("77s", "slowstart 77s"),
    "stats_bind": ("*:8404", "bind *:8404"),
    "timeout": ({"http_keep_alive": "77s"}, "timeout http-keep-alive 77s"),
    "trusted_proxies": (["192.0.2.99"], "192.0.2.99"),
    "use_backend": ("app if TRUE", "use_backend app if TRUE"),
    "default_backend": ("app", "default_backend app"),
    "wait_for_server": ("77s", "77s"),
}
SECTIONS: dict[str, dict[str, Any]] = {
    "haproxy_frontends": {"name": "own", "bind": "*:8098"},
    "haproxy_backends": {"name": "own"},
}


def sample(key: str, option: dict[str, Any]) -> tuple[Any, str]:
    if key in SAMPLES:
        return SAMPLES[key]
    if key.startswith("timeout_"):
        return "77s", f"timeout {key.removeprefix('timeout_').replace('_', '-')} 77s"
    return (77, "77") if option["type"] == "int" else RAW


def cases() -> Iterator[Any]:
    """The settings that say one thing, its name, and the text that has to be in the file."""
    for name, option in OPTIONS.items():
        key = name.removeprefix("haproxy_")
        if name in SECTIONS or name == "haproxy_servers":
            for part, of in option["options"].items():
                if part == "servers":
                    continue
                value, text = sample(part, of)
                base = SECTIONS.get(name, SERVERS[0])
                yield pytest.param({name: [{**base, part: value}]}, part, text, id=f"{name}-{part}")
        elif name not in ELSEWHERE:
            value, text = sample(key, option)
            more: dict[str, Any] = {}
            if key == "default_backend":
                # Its default is the only backend otherwise
                value, text = "other", "default_backend other"
                more = {"haproxy_backends": [{"name": value, "servers": SERVERS}]}
            yield pytest.param({name: value, **more}, name, text, id=name)


def used_or_refused(settings: dict[str, Any], name: str, text: str) -> None:
    found = haproxy_problems({**defaults(), "haproxy_servers": SERVERS, **settings})
    file = " ".join(render(**settings).split())
    named = any(name in problem for problem in found)
    assert text in file or named, f"{settings} is in no line, and this is all that is said: {found}\n{file}"


@pytest.mark.parametrize(("settings", "name", "text"), list(cases()))
def test_value_is_in_the_file_or_refused(settings: dict[str, Any], name: str, text: str) -> None:
    used_or_refused(settings, name, text)


@pytest.mark.slow
@pytest.mark.parametrize("missing", [{"haproxy_bind": ""}, {"haproxy_servers": []}, {"haproxy_mode": "tcp"}])
def test_value_is_in_the_file_or_refused_where_a_part_of_the_file_is_missing(missing: dict[str, Any]) -> None:
    names = ("default_server", "log_format", "retry_on", "unique_id_format", "wait_for_server")
    of_all = {f"haproxy_{name}" for name in names}
    web = {
        "haproxy_frontends": [{"name": "web", "bind": "*:81", "mode": "http"}],
        "haproxy_backends": [{"name": "web", "mode": "http", "servers": SERVERS}],
    }
    for case in cases():
        settings, name, text = case.values
        if name in OPTIONS and name not in missing:
            used_or_refused(missing | settings | (web if name in of_all else {}), name, text)
