# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the load balancer of the inventory ten times, and print who answered and the total hits."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

REQUESTS = 10


def load_balancer() -> str:
    """Return the URL of the first host in group lb, as the inventory has it."""
    command = [str(Path(sys.executable).with_name("ansible-inventory")), "--list"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    # ansible-core marks text that came from an API like this
    inventory = json.loads(output, object_hook=lambda value: value.get("__ansible_unsafe", value))
    host = inventory["lb"]["hosts"][0]
    return f"http://{inventory['_meta']['hostvars'][host]['ansible_host']}"


def main() -> None:
    """Print the table; exit with one line if a request fails or the total does not go up by one."""
    url = load_balancer()
    print(f"\nThe load balancer: {url}/\n")
    print("request  APP INSTANCE  total hits")
    before: int | None = None
    for number in range(1, REQUESTS + 1):
        try:
            with urllib.request.urlopen(f"{url}/api/hits", timeout=10) as response:
                hits = json.load(response)
        except (urllib.error.URLError, TimeoutError) as error:
            sys.exit(f"error: request {number} to {url}/api/hits failed: {error}")
        print(f"{number:7}  {hits['instance']:<12}  {hits['total']:10}")
        if before is not None and hits["total"] != before + 1:
            sys.exit(
                f"error: the total went from {before} to {hits['total']}: did somebody else open the page meanwhile?"
            )
        before = hits["total"]


if __name__ == "__main__":
    main()
