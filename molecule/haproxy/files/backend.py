#!/usr/bin/python3
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that says what it got, and that tests can tell what to answer: backend.py NAME

Port 8101 speaks HTTP, after a PROXY header if there is one. It answers with JSON: its name and the request as it came.
POST /_answers {PATH: [ANSWER, ...]} says what the next requests for a path get; the last answer goes on. An answer is
{"status": N, "body": "TEXT"}, both optional, or "hold": wait until the path is given other answers.
Paths below /hold/ and /download/ hold from the start; a download has sent its first half by then.
GET /_seen counts the requests for each path, and how many of them were answered. A request to upgrade gets an echo.
Port 8102 answers each piece that it receives with its name and that piece.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ipaddress
import json
import sys
from collections import Counter
from urllib.parse import urlsplit

NAME = sys.argv[1]
HALF = b"." * 300_000
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
# RFC 6455, 1.3
WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter

answers: dict[str, list] = {}
asked: Counter[str] = Counter()
answered: Counter[str] = Counter()
told = asyncio.Condition()


async def answer_for(path: str) -> dict:
    """Return what the path's next request gets, once it does."""
    async with told:
        while True:
            held = path.startswith(("/hold/", "/download/"))
            queue = answers.setdefault(path, ["hold"] if held else [{}])
            answer = queue.pop(0) if len(queue) > 1 else queue[0]
            if answer != "hold":
                return answer
            await told.wait()


async def proxy_header(line: bytes, reader: Reader) -> str:
    """Return what a PROXY header says, as version 1 writes it; `line` is its first line."""
    if line.startswith(b"PROXY "):
        return "v1 " + line.decode().removeprefix("PROXY ").strip()
    signature = line + await reader.readexactly(len(SIGNATURE) - len(line))
    head = await reader.readexactly(4)
    data = await reader.readexactly(int.from_bytes(head[2:], "big"))
    assert signature == SIGNATURE
    if head[:1] == b"\x20":
        return "v2 LOCAL"
    assert head[:2] == b"\x21\x11"
    source, target = ipaddress.ip_address(data[:4]), ipaddress.ip_address(data[4:8])
    return f"v2 TCP4 {source} {target} {int.from_bytes(data[8:10], 'big')} {int.from_bytes(data[10:12], 'big')}"


async def tell(body: bytes) -> dict:
    async with told:
        answers.update(json.loads(body))
        told.notify_all()
    return {}


async def http(reader: Reader, writer: Writer) -> None:
    proxy = None
    while line := await reader.readline():
        if line.startswith(b"PROXY ") or line == b"\r\n":
            proxy = await proxy_header(line, reader)
            continue
        method, target, _ = line.decode().split()
        headers = []
        while row := (await reader.readline()).decode("latin-1").strip():
            headers.append([part.strip() for part in row.split(":", 1)])
        by_name = {name.lower(): value for name, value in headers}
        body = await reader.readexactly(int(by_name.get("content-length", 0)))
        path = urlsplit(target).path
        if path == "/_answers":
            said = {"body": json.dumps(await tell(body))}
        elif path == "/_seen":
            said = {"body": json.dumps({"asked": asked, "answered": answered})}
        elif "upgrade" in by_name:
            proof = base64.b64encode(hashlib.sha1(by_name["sec-websocket-key"].encode() + WEBSOCKET).digest())
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n")
            writer.write(b"Sec-WebSocket-Accept: " + proof + b"\r\n\r\n")
            while part := await reader.read(4096):
                writer.write(part)
            return
        else:
            asked[path] += 1
            if path.startswith("/download/"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * len(HALF)) + HALF)
                await writer.drain()
            said = await answer_for(path)
            answered[path] += 1
            if path.startswith("/download/"):
                writer.write(HALF)
                await writer.drain()
                continue
        peer = writer.get_extra_info("peername")
        seen = {
            "server": NAME,
            "method": method,
            "target": target,
            "headers": headers,
            "body": body.decode("latin-1"),
            "peer": f"{peer[0]}:{peer[1]}",
            "proxy": proxy,
        }
        text = said.get("body", json.dumps(seen)).encode()
        status = said.get("status", 200)
        # As an answer that caches may keep: HAProxy changes that where it sets a cookie
        head = f"HTTP/1.1 {status} Said\r\nCache-Control: max-age=60\r\nContent-Length: {len(text)}\r\n\r\n"
        writer.write(head.encode())
        writer.write(b"" if method == "HEAD" else text)
        await writer.drain()


async def tcp(reader: Reader, writer: Writer) -> None:
    while part := await reader.read(4096):
        writer.write(json.dumps({"server": NAME, "got": part.decode("latin-1")}).encode() + b"\n")
        await writer.drain()


def serving(handle):
    async def serve(reader: Reader, writer: Writer) -> None:
        try:
            await handle(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    return serve


async def main() -> None:
    for port, handle in ((8101, http), (8102, tcp)):
        await asyncio.start_server(serving(handle), port=port, backlog=1024)
    await asyncio.Event().wait()


asyncio.run(main())
