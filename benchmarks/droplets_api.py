# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulated list of droplets on loopback, made to cost little: the time that a benchmark measures is the client's.

Each page is rendered once, and each answer waits for the latency that was asked for. The first line of output is the
URL of the API; it is https, as DigitalOcean's is, because some clients refuse anything else.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import ssl
import typing as t
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

REGIONS = ("ams3", "fra1", "lon1", "nyc1", "nyc3", "sfo3", "sgp1", "syd1")
SIZES = ("s-1vcpu-1gb", "s-2vcpu-4gb", "s-4vcpu-8gb")
TIERS = ("web", "worker", "cache", "database")
STAGES = ("production", "staging")


def droplet(number: int) -> dict[str, t.Any]:
    """The droplet of that number, with every field of DigitalOcean's own example."""
    region, size = REGIONS[number % len(REGIONS)], SIZES[number % len(SIZES)]
    tier, stage = TIERS[number % len(TIERS)], STAGES[number // 7 % len(STAGES)]
    low, middle = number % 250 + 1, number // 250
    return {
        "id": 400_000_000 + number,
        "name": f"{tier}-{number}",
        "memory": 1024,
        "vcpus": 1,
        "disk": 25,
        "disk_info": [{"type": "local", "size": {"amount": 25, "unit": "gib"}}],
        "locked": False,
        "status": "active",
        "kernel": None,
        "created_at": "2026-07-21T18:37:44Z",
        "features": ["backups", "private_networking", "ipv6"],
        "backup_ids": [53_893_572],
        "next_backup_window": {"start": "2026-07-30T00:00:00Z", "end": "2026-07-30T23:00:00Z"},
        "snapshot_ids": [67_512_819],
        "image": {
            "id": 63_663_980,
            "name": "13 x64",
            "distribution": "Debian",
            "slug": "debian-13-x64",
            "public": True,
            "regions": list(REGIONS),
            "created_at": "2026-05-15T05:47:50Z",
            "type": "base",
            "min_disk_size": 10,
            "size_gigabytes": 2.36,
            "description": "",
            "tags": [],
            "status": "available",
            "error_message": "",
        },
        "volume_ids": [],
        "size": {
            "slug": size,
            "memory": 1024,
            "vcpus": 1,
            "disk": 25,
            "transfer": 1.0,
            "price_monthly": 6.0,
            "price_hourly": 0.00893,
            "regions": list(REGIONS),
            "available": True,
            "description": "Basic",
        },
        "size_slug": size,
        "networks": {
            "v4": [
                {
                    "ip_address": f"10.{100 + middle // 250}.{middle % 250}.{low}",
                    "netmask": "255.255.0.0",
                    "gateway": "",
                    "type": "private",
                },
                {
                    "ip_address": f"198.{18 + middle // 250}.{middle % 250}.{low}",
                    "netmask": "255.255.240.0",
                    "gateway": "198.18.0.1",
                    "type": "public",
                },
            ],
            "v6": [
                {
                    "ip_address": f"2001:db8::{number:x}",
                    "netmask": 64,
                    "gateway": "2001:db8::1",
                    "type": "public",
                }
            ],
        },
        "region": {
            "name": region,
            "slug": region,
            "features": ["backups", "ipv6", "metadata", "install_agent", "storage", "image_transfer"],
            "available": True,
            "sizes": list(SIZES),
        },
        "tags": ["scaleout", tier, f"stage:{stage}"],
        "vpc_uuid": "760e09ef-dc84-11e8-981e-3cfdfeaae000",
    }


class Api:
    """The list of droplets, 20 a page and at most 200 as at DigitalOcean."""

    def __init__(self, droplets: int, latency: float) -> None:
        self.droplets, self.latency = droplets, latency
        self.url = ""
        self.page = functools.cache(self._page)

    def _page(self, number: int, size: int) -> bytes:
        last = max(1, -(-self.droplets // size))
        link = f"{self.url}/droplets?per_page={size}&page="
        pages = {}
        if number > 1:
            pages.update(first=f"{link}1", prev=f"{link}{number - 1}")
        if number < last:
            pages.update(next=f"{link}{number + 1}", last=f"{link}{last}")
        shown = range((number - 1) * size + 1, min(number * size, self.droplets) + 1)
        body = {
            "droplets": [droplet(one) for one in shown],
            "links": {"pages": pages},
            "meta": {"total": self.droplets},
        }
        return json.dumps(body, separators=(",", ":")).encode()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until the client ends it."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await asyncio.sleep(self.latency)
                parts = urlsplit(head.split(b" ", 2)[1].decode())
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                status, body = "404 Not Found", b'{"id": "not_found", "message": "no such path"}'
                if parts.path == "/v2/droplets":
                    size = min(200, int(query.get("per_page", 20)))
                    status, body = "200 OK", self.page(int(query.get("page", 1)), size)
                head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
                writer.write(head.encode() + b"ratelimit-limit: 5000\r\nratelimit-remaining: 4950\r\n\r\n" + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def serve(self, certificate: Path) -> None:
        """Serve until the process is ended."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server = await asyncio.start_server(self.answer, "127.0.0.1", 0, ssl=context)
        self.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v2"
        print(self.url, flush=True)
        async with server:
            await server.serve_forever()


def main() -> None:
    """Serve as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--droplets", type=int, default=1000, metavar="N")
    parser.add_argument("--latency", type=float, default=0.2, metavar="SECONDS")
    parser.add_argument("--certificate", type=Path, required=True, help="a key and its certificate for 127.0.0.1, PEM")
    arguments = parser.parse_args()
    asyncio.run(Api(arguments.droplets, arguments.latency).serve(arguments.certificate))


if __name__ == "__main__":
    main()
