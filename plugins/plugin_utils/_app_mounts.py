# Copyright (c) 2026, alphacoder
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: what of the host an app's container has: app_volumes, app_files and app_assets.

from __future__ import annotations

import hashlib
import json
import re
import typing as t
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from ansible_collections.alphacoder.scaleout.plugins.plugin_utils._settings import Settings

VOLUME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]+")
FOLDER = re.compile(r"/[^:]*")
VOLUME_KEYS = ("source", "target", "owner", "mode", "read_only")
FILE_KEYS = ("src", "content", "dest", "owner", "mode")
OWNER = re.compile(r"\d+(:\d+)?")
MODE = re.compile(r"[0-7]{3,4}")
# What a mode looks like that somebody wants
USUAL = re.compile(r"0[4-7][04-7]{2}")
# What may follow a volume, as the engine knows it
VOLUME_OPTIONS = [
    "ro",
    "rw",
    "z",
    "Z",
    "nocopy",
    "cached",
    "delegated",
    "consistent",
    "private",
    "rprivate",
    "shared",
    "rshared",
    "slave",
    "rslave",
]
# Where the files of an app's containers are on the host
FILES = PurePosixPath("/var/lib/alphacoder-app")


def _owner_and_mode(where: str, entry: Mapping[str, t.Any]) -> Iterator[str]:
    owner, mode = entry.get("owner"), entry.get("mode")
    if owner is not None and not OWNER.fullmatch(str(owner)):
        yield (
            f"{where} has the owner {owner!r}; it must be the number of the container's user, with or without its "
            'group\'s, such as "10001:10001". The host does not know the names of the image.'
        )
    if mode is not None and not (isinstance(mode, str) and MODE.fullmatch(mode)):
        right = _mode_meant(mode) if isinstance(mode, int) else "0750"
        yield f'{where} has the mode {mode!r}; it must be in quotes, such as "{right}".'


def _mode_meant(number: int) -> str:
    """What was written: YAML reads 0644 as an octal number, and 644 as it is."""
    as_it_is, octal = str(number).zfill(4), f"{number:04o}"
    return as_it_is if USUAL.fullmatch(as_it_is) and as_it_is[1] >= as_it_is[2] >= as_it_is[3] else octal


def _volume_problems(entry: t.Any) -> Iterator[str]:
    if isinstance(entry, str):
        source, rest = (*entry.split(":", 1), "")[:2]
        if not (VOLUME.fullmatch(source) or source.startswith("/")) or not rest.startswith("/") or rest.count(":") > 1:
            yield (
                f"app_volumes has '{entry}'; it must be a volume or a directory, and a path: uploads:/app/uploads. The "
                "name of a volume has at least two characters, letters, digits, _, . and -; a directory begins with /."
            )
        elif wrong := [word for word in rest.partition(":")[2].split(",") if word and word not in VOLUME_OPTIONS]:
            yield f"app_volumes has '{entry}', with {', '.join(wrong)}; it may be {', '.join(VOLUME_OPTIONS)}."
        return
    if not isinstance(entry, dict):
        yield f"app_volumes has {entry!r}; it must be a text, such as uploads:/app/uploads, or a dictionary."
        return
    source, target = str(entry.get("source", "")), str(entry.get("target", ""))
    where = f"app_volumes: {source or entry}"
    for key in entry:
        if key not in VOLUME_KEYS:
            yield f"{where} has {key}; it takes {', '.join(VOLUME_KEYS)}."
    if not VOLUME.fullmatch(source) and not FOLDER.fullmatch(source):
        yield f"{where} must have a source: the name of a volume, or a directory of the host that begins with /."
    if not FOLDER.fullmatch(target):
        yield f"{where} must have a target: a path in the container that begins with /."
    if VOLUME.fullmatch(source) and ("owner" in entry or "mode" in entry):
        yield (
            f"{where} is a volume, which has the owner and the mode of the image's directory at {target}; remove "
            "owner and mode, or take a directory of the host."
        )
    if not isinstance(entry.get("read_only", False), bool):
        yield f"{where} has read_only {entry['read_only']!r}; it must be true or false."
    yield from _owner_and_mode(where, entry)


def _file_problems(entry: t.Any) -> Iterator[str]:
    """Never says the content, which may be a secret."""
    if not isinstance(entry, dict):
        yield "app_files must have dictionaries, such as {src: /path/to/app.conf, dest: /etc/app.conf}."
        return
    dest = str(entry.get("dest", ""))
    where = f"app_files: {dest or 'an entry without dest'}"
    for key in entry:
        if key not in FILE_KEYS:
            yield f"{where} has {key}; it takes {', '.join(FILE_KEYS)}."
    if not FOLDER.fullmatch(dest) or dest.endswith("/"):
        yield f"{where} must have a dest: a file's path in the container, such as /run/secrets/api_key."
    if ("src" in entry) == ("content" in entry):
        yield f"{where} must have one of src and content."
    elif "content" in entry and not isinstance(entry["content"], str):
        yield f"{where} must have a content that is text; put a number into quotes."
    elif "src" in entry and not _path(entry["src"]).is_file():
        yield f"{where} has the src {entry['src']}, which is no file on this machine."
    yield from _owner_and_mode(where, entry)


def _path(src: t.Any) -> Path:
    return Path(str(src)).expanduser()


def _target(volume: t.Any) -> str:
    return str(volume.get("target")) if isinstance(volume, dict) else str(volume).split(":")[1]


def mount_problems(settings: Settings) -> list[str]:
    """A sentence for each problem."""
    problems = []
    volumes, files = settings.get("app_volumes") or [], settings.get("app_files") or []
    if not isinstance(volumes, list):
        problems.append(f"app_volumes is {volumes!r}; it must be a list, such as [uploads:/app/uploads].")
        volumes = []
    if not isinstance(files, list):
        problems.append("app_files must be a list of dictionaries, such as [{src: app.conf, dest: /etc/app.conf}].")
        files = []
    problems += [problem for entry in volumes for problem in _volume_problems(entry)]
    problems += [problem for entry in files for problem in _file_problems(entry)]
    assets = str(settings.get("app_assets") or "")
    if assets and (not FOLDER.fullmatch(assets) or not assets.strip("/")):
        problems.append(f"app_assets is '{assets}'; it must be a directory of the image, such as /app/public.")
    if problems:
        return problems
    tmpfs = settings.get("app_tmpfs")
    targets = [_target(volume) for volume in volumes] + [str(file["dest"]) for file in files]
    targets += [str(path).partition(":")[0] for path in tmpfs] if isinstance(tmpfs, list) else []
    targets += [assets] if assets else []
    targets = [target.rstrip("/") for target in targets]
    return [
        f"{target} is named more than once in app_volumes, app_files, app_tmpfs and app_assets; one of them must have "
        "it."
        for target in sorted({target for target in targets if targets.count(target) > 1})
    ]


def volumes(settings: Settings) -> tuple[list[str], list[dict[str, t.Any]], list[dict[str, str]]]:
    """What docker_container is given as volumes and as mounts, and the directories of the host to make before."""
    texts, mounts, directories = [], [], []
    for volume in settings.get("app_volumes") or []:
        if isinstance(volume, str):
            texts.append(volume)
            continue
        source = str(volume["source"])
        bound = source.startswith("/")
        mounts.append(
            {
                "type": "bind" if bound else "volume",
                "source": source,
                "target": str(volume["target"]),
                "read_only": volume.get("read_only", False),
            }
        )
        if bound:
            directories.append({"path": source} | _attributes(volume))
    return texts, mounts, directories


def _attributes(entry: Mapping[str, t.Any]) -> dict[str, str]:
    """The owner, group and mode that an entry names."""
    found = {}
    if "owner" in entry:
        owner = str(entry["owner"]).split(":")
        found["owner"], found["group"] = owner[0], owner[-1]
    if "mode" in entry:
        found["mode"] = entry["mode"]
    return found


def assets(settings: Settings, image: str) -> tuple[str, list[dict[str, t.Any]]]:
    """The folder of the release's assets on the host, and what docker_container is given as mounts for them.

    In the folder, `assets` has those that are served, and `own` those of the release alone.
    """
    target = str(settings.get("app_assets") or "")
    if not target:
        return "", []
    folder = FILES / str(settings["app_name"]) / hashlib.sha256(f"{image} {target}".encode()).hexdigest()[:16]
    return str(folder), [{"type": "bind", "source": f"{folder}/assets", "target": target, "read_only": True}]


def files(settings: Settings) -> tuple[str, list[dict[str, str]], list[dict[str, t.Any]]]:
    """The folder on the host, the files to put there, and what docker_container is given as mounts for them.

    The folder is named after what is in it. So a container keeps its files when another one gets newer ones, and a
    changed file is a changed setting of the container.
    """
    # Nobody but root gets into the folder, so that the mode can be for any user that the container may have
    default = {"owner": "0", "group": "0", "mode": "0444"}
    entries = [default | file | _attributes(file) for file in settings.get("app_files") or []]
    if not entries:
        return "", [], []
    made = []
    for entry in entries:
        content = _path(entry["src"]).read_bytes() if "src" in entry else entry["content"].encode()
        made.append([entry["owner"], entry["group"], entry["mode"], hashlib.sha256(content).hexdigest()])
    name = hashlib.sha256(json.dumps(made).encode()).hexdigest()[:16]
    folder = FILES / str(settings["app_name"]) / name
    copies, mounts = [], []
    for number, entry in enumerate(entries):
        path = str(folder / f"{number}-{PurePosixPath(entry['dest']).name}")
        source = {"src": str(_path(entry["src"]).absolute())} if "src" in entry else {"content": entry["content"]}
        copies.append({"dest": path, **{key: entry[key] for key in default}, **source})
        mounts.append({"type": "bind", "source": path, "target": entry["dest"], "read_only": True})
    return str(folder), copies, mounts
