# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role haproxy without a host: its settings, its haproxy.cfg, and what HAProxy says of that."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path
from typing import Any

import yaml
from support import ansible_templates

ROLE = Path(__file__).resolve().parents[3] / "roles" / "haproxy"
SERVERS = [
    {"name": "app-1", "address": "192.0.2.1", "port": 8000},
    {"name": "app-2", "address": "192.0.2.2", "port": 8000},
]


@functools.cache
def defaults() -> dict[str, Any]:
    return yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())


def render(**settings: Any) -> str:
    """Return the haproxy.cfg that the role makes of these variables on a machine with 1 GiB of memory."""
    machine = {
        "__haproxy_maxconn": {"stdout": "10240\n"},
        "ansible_managed": "Ansible managed",
    }
    variables = {**defaults(), "inventory_hostname": "lb-1", "haproxy_servers": SERVERS, **settings, **machine}
    template = (ROLE / "templates" / "haproxy.cfg.j2").read_text()
    return ansible_templates.render(template, variables)


def section(text: str, header: str) -> list[str]:
    """Return the lines of a section, with one space between words."""
    lines = iter(text.splitlines())
    for line in lines:
        if line == header:
            break
    else:
        raise AssertionError(f"no section {header!r} in:\n{text}")
    found = []
    for line in lines:
        if not line.startswith(" "):
            break
        found.append(" ".join(line.split()))
    return found


def place(text: str, folder: Path) -> Path:
    """Write this configuration so that HAProxy can use it here; `folder` stands for /etc/haproxy and /run/haproxy."""
    # The distribution's package makes them, and tests do without it
    for line in (f"{'user':<29} haproxy", f"{'group':<29} haproxy", f"{'chroot':<29} /var/lib/haproxy"):
        text = text.replace(f"    {line}\n", "")
    for script in (ROLE / "files").glob("*.lua"):
        (folder / script.name).write_text(elsewhere(script.read_text(), folder))
    # As haproxy-unit prepares it
    state = folder / "server-state"
    if not state.exists():
        state.write_text("1\n")
    path = folder / "haproxy.cfg"
    path.write_text(elsewhere(text, folder))
    return path


def elsewhere(text: str, folder: Path) -> str:
    """Return the text with files of /etc/haproxy and /run/haproxy in a folder."""
    return text.replace("/etc/haproxy/", f"{folder}/").replace("/run/haproxy/", f"{folder}/")


def refusal(program: str, text: str, folder: Path) -> str:
    """Return what HAProxy has against this configuration, be it a warning, or nothing."""
    path = place(text, folder)
    done = subprocess.run([program, "-c", "-f", str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return f"{done.stdout}\n{text}" if done.returncode or "[WARNING]" in done.stdout else ""
