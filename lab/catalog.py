# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the account can order: regions, sizes and images, with the API's own slugs and fields."""

from __future__ import annotations

import uuid
from typing import Any

REGIONS = {
    "nyc1": "New York 1", "nyc2": "New York 2", "nyc3": "New York 3", "ams2": "Amsterdam 2", "ams3": "Amsterdam 3",
    "sfo2": "San Francisco 2", "sfo3": "San Francisco 3", "sgp1": "Singapore 1", "lon1": "London 1",
    "fra1": "Frankfurt 1", "tor1": "Toronto 1", "blr1": "Bangalore 1", "syd1": "Sydney 1",
}  # fmt: skip

# slug: MiB of memory, virtual CPUs, GB of disk, TB of transfer, USD a month. The lab enforces none of them.
SIZES = {
    "s-1vcpu-512mb-10gb": (512, 1, 10, 0.5, 4.0),
    "s-1vcpu-1gb": (1024, 1, 25, 1.0, 6.0),
    "s-1vcpu-2gb": (2048, 1, 50, 2.0, 12.0),
    "s-2vcpu-2gb": (2048, 2, 60, 3.0, 18.0),
    "s-2vcpu-4gb": (4096, 2, 80, 4.0, 24.0),
    "s-4vcpu-8gb": (8192, 4, 160, 5.0, 48.0),
    "s-8vcpu-16gb": (16384, 8, 320, 6.0, 96.0),
}

# slug: id, name
IMAGES = {"debian-13-x64": (200000013, "13 x64"), "debian-12-x64": (200000012, "12 x64")}


def find_region(wanted: object) -> str | None:
    """The region's slug; a prefix such as `nyc` stands for any of its regions, and None for any region at all."""
    if wanted is None:
        return next(iter(REGIONS))
    if not isinstance(wanted, str) or not wanted:
        return None
    return next((slug for slug in REGIONS if wanted in (slug, slug.rstrip("0123456789"))), None)


def find_image(wanted: object) -> str | None:
    """The image's slug, by slug or by id (a number, or a number as text)."""
    return next((slug for slug, (number, _) in IMAGES.items() if str(wanted) in (slug, str(number))), None)


def region(slug: str) -> dict[str, Any]:
    return {
        "name": REGIONS[slug], "slug": slug, "available": True, "sizes": list(SIZES),
        "features": ["backups", "ipv6", "metadata", "install_agent", "storage", "image_transfer"],
    }  # fmt: skip


def size(slug: str) -> dict[str, Any]:
    memory, vcpus, disk, transfer, monthly = SIZES[slug]
    return {
        "slug": slug, "memory": memory, "vcpus": vcpus, "disk": disk, "transfer": transfer, "price_monthly": monthly,
        "price_hourly": round(monthly / 672, 5), "regions": list(REGIONS), "available": True, "description": "Basic",
    }  # fmt: skip


def image(slug: str) -> dict[str, Any]:
    number, name = IMAGES[slug]
    return {
        "id": number, "name": name, "distribution": "Debian", "slug": slug, "public": True, "regions": list(REGIONS),
        "created_at": "2026-01-01T00:00:00Z", "min_disk_size": 10, "type": "base", "size_gigabytes": 0.3,
        "description": f"Debian {name}", "tags": [], "status": "available", "error_message": "",
    }  # fmt: skip


def vpc_id(region_slug: str) -> str:
    """The id of a region's default VPC. All of them are the lab's only private network."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{region_slug}.scaleout-lab"))


def vpc(region_slug: str, ip_range: str) -> dict[str, Any]:
    number = vpc_id(region_slug)
    return {
        "id": number, "urn": f"do:vpc:{number}", "name": f"default-{region_slug}", "description": "",
        "region": region_slug, "ip_range": ip_range, "created_at": "2026-01-01T00:00:00Z", "default": True,
    }  # fmt: skip
