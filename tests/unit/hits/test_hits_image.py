# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the image is made of, as far as its sources tell."""

from __future__ import annotations

import re

from support.hits_servers import FILES


def dockerfile() -> list[list[str]]:
    """The instructions of each stage; those before the first one are a stage of their own."""
    text = (FILES / "Dockerfile").read_text()
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    stages: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("FROM "):
            stages.append([])
        if line and not line.startswith("#"):
            stages[-1].append(line)
    return stages


def test_base_is_the_official_slim_image_unless_told_otherwise() -> None:
    head, builder, final = dockerfile()

    assert len(head) == 1
    assert re.fullmatch(r"ARG BASE_IMAGE=python:3\.\d+-slim", head[0])
    assert builder[0].startswith("FROM ${BASE_IMAGE} AS ")
    assert final[0] == "FROM ${BASE_IMAGE}"


def test_last_stage_runs_no_command_and_no_shell_and_is_not_root() -> None:
    final = dockerfile()[-1]

    assert [line for line in final if line.startswith("RUN")] == []
    assert any(re.fullmatch(r"USER [1-9]\d*:[1-9]\d*", line) for line in final)
    # The JSON form, which no shell reads
    assert any(line.startswith("CMD [") for line in final)
    assert any(re.match(r"HEALTHCHECK .*CMD \[", line) for line in final)


def test_every_package_is_pinned_and_hashed() -> None:
    text = (FILES / "requirements.txt").read_text()
    packages = [
        line for line in re.sub(r"\\\n\s*", "", text).splitlines() if line and not line.lstrip().startswith("#")
    ]

    assert len(packages) >= 5
    for package in packages:
        assert re.match(r"[a-z0-9-]+(\[[a-z]+\])?==\S+ .*--hash=sha256:[0-9a-f]{64}", package), package
