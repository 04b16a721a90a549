# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`egress-router observe`: the server of an acceptance test. Answers TCP, UDP and HTTP with what it saw of the client."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import signal
import socket
import struct
from collections.abc import Sequence
from typing import Any

from ansible_collections.egress.router.plugins.module_utils._contract.probe import Observation

from ..log import event
from .sniffer import Sniffer

# linux/in.h, linux/in6.h
_IP_PKTINFO = 8
_IPV6_FREEBIND = 78


def main(arguments: Sequence[str]) -> int:
    """Answer until SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="egress-router observe", description="Answer connections with what was seen of the client, as JSON."
    )
    parser.add_argument("--address", default="", help="local address to listen on; default: all, IPv4 and IPv6")
    parser.add_argument(
        "--port", action="append", required=True, type=_port, metavar="tcp|udp|http:PORT", help="port to listen on"
    )
    options = parser.parse_args(arguments)
    try:
        sniffer = Sniffer()
    except PermissionError:
        event("no-source-macs", why="reading frames requires the capability NET_RAW")
        sniffer = None
    asyncio.run(_serve(options.address, options.port, sniffer))
    return 0


def _port(text: str) -> tuple[str, int]:
    kind, _colon, number = text.partition(":")
    if kind not in ("tcp", "udp", "http") or not (number.isascii() and number.isdigit() and 1 <= int(number) <= 65535):
        raise argparse.ArgumentTypeError(f"'{text}' is not tcp:PORT, udp:PORT or http:PORT")
    return kind, int(number)


async def _serve(address: str, ports: list[tuple[str, int]], sniffer: Sniffer | None) -> None:
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, done.set)
    servers = []
    for kind, port in ports:
        for raw in _sockets(address, kind, port):
            if kind == "udp":
                loop.add_reader(raw, _answer_datagram, raw, sniffer)
            else:
                answer = _tcp(sniffer) if kind == "tcp" else _http(sniffer)
                servers.append(await asyncio.start_server(answer, sock=raw, backlog=4096))
    event("observing", ports=",".join(f"{kind}:{port}" for kind, port in ports), source_macs=sniffer is not None)
    await done.wait()


def _sockets(address: str, kind: str, port: int) -> list[socket.socket]:
    """Listening sockets; one for each family, because IPv4 addresses look different on a shared one."""
    families = [socket.AF_INET, socket.AF_INET6]
    if address:
        families = [families[ipaddress.ip_address(address).version == 6]]
    found = []
    for family in families:
        try:
            raw = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if kind == "udp":
                _want_local_address(raw)
            raw.bind((address or ("::" if family == socket.AF_INET6 else "0.0.0.0"), port))
        except OSError:
            # IPv6 may be missing on this machine, unless it was asked for.
            if family == socket.AF_INET6 and not address:
                continue
            raise
        raw.setblocking(False)
        found.append(raw)
    return found


def _tcp(sniffer: Sniffer | None) -> Any:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(await _seen(writer, sniffer) + b"\n")
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    return answer


def _http(sniffer: Sniffer | None) -> Any:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            body = b""
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = body or await _seen(writer, sniffer)
                close = b"connection: close" in head.lower() or b" HTTP/1.0\r\n" in head
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
                    + (b"Connection: close\r\n\r\n" if close else b"\r\n")
                    + body
                )
                await writer.drain()
                if close:
                    break
        writer.close()

    return answer


async def _seen(writer: asyncio.StreamWriter, sniffer: Sniffer | None) -> bytes:
    source, local = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
    mac = None
    if sniffer is not None:
        mac = sniffer.mac(socket.IPPROTO_TCP, source[0], source[1], 0)
        if mac is None:
            mac = await asyncio.to_thread(sniffer.mac, socket.IPPROTO_TCP, source[0], source[1])
    return _json(source, mac, local, "TCP")


def _answer_datagram(raw: socket.socket, sniffer: Sniffer | None) -> None:
    # An earlier answer that was refused shows up as an error here.
    with contextlib.suppress(OSError):
        _data, ancillary, _flags, source = raw.recvmsg(65536, 256)
        local = _local_address(ancillary[0][2])
        mac = sniffer.mac(socket.IPPROTO_UDP, source[0], source[1], 0) if sniffer is not None else None
        if mac is not None or sniffer is None:
            _send_answer(raw, source, mac, local)
        else:
            # Others are not kept waiting for a frame that is late, or was not seen.
            task = asyncio.get_running_loop().create_task(_answer_later(raw, source, local, sniffer))
            _LATE.add(task)
            task.add_done_callback(_LATE.discard)


# Tasks are forgotten if nobody else refers to them.
_LATE: set[asyncio.Task[None]] = set()


async def _answer_later(raw: socket.socket, source: tuple[Any, ...], local: str, sniffer: Sniffer) -> None:
    mac = await asyncio.to_thread(sniffer.mac, socket.IPPROTO_UDP, source[0], source[1])
    with contextlib.suppress(OSError):
        _send_answer(raw, source, mac, local)


def _send_answer(raw: socket.socket, source: tuple[Any, ...], mac: str | None, local: str) -> None:
    answer = _json(source, mac, (local, raw.getsockname()[1]), "UDP")
    # From the address that was asked: the client accepts no answer from another one.
    raw.sendmsg([answer + b"\n"], [_from(local)], 0, source)


def _want_local_address(raw: socket.socket) -> None:
    if raw.family == socket.AF_INET6:
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        # Allows answers from an address that is local only by a route.
        raw.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
    else:
        raw.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)


def _local_address(info: bytes) -> str:
    """The address that a datagram was sent to: of struct in_pktinfo the last field, of in6_pktinfo the first."""
    return str(ipaddress.ip_address(info[8:12] if len(info) == 12 else info[:16]))


def _from(local: str) -> tuple[int, int, bytes]:
    """The ancillary data that makes an answer come from `local`, through whichever interface."""
    address = ipaddress.ip_address(local)
    if address.version == 4:
        return socket.IPPROTO_IP, _IP_PKTINFO, struct.pack("=i4s4s", 0, address.packed, bytes(4))
    return socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, address.packed + bytes(4)


def _json(source: tuple[Any, ...], mac: str | None, local: tuple[Any, ...], protocol: str) -> bytes:
    return Observation(source[0], source[1], mac, local[0], local[1], protocol).to_json().encode()
