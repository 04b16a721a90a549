# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`egress-router observe`: the far end of an acceptance test. It tells every client which source it sees.

TCP: one line of JSON as soon as a client connects, then everything is echoed. UDP: one line for each datagram. HTTP:
the same as the body of any GET. The JSON has source_ip, source_port, source_mac, local_ip, local_port and protocol;
source_mac is null where the client is not on the same segment, or without the capability NET_RAW.
"""

from __future__ import annotations

import argparse
import functools
import ipaddress
import json
import select
import socket
import socketserver
import struct
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any

from pyroute2 import IPRoute

ETH_P_IP, ETH_P_IPV6 = 0x0800, 0x86DD
PACKET_HOST, ARPHRD_ETHER = 0, 1
# <linux/in.h>; Python names it from 3.14 on.
IP_PKTINFO = 8
# Where the source address is in the header.
SOURCE = {ETH_P_IP: slice(12, 16), ETH_P_IPV6: slice(8, 24)}
KINDS = ("tcp", "udp", "http")


class Wire:
    """Remembers from which MAC address the last frame of each source came."""

    def __init__(self) -> None:
        self._macs: dict[str, str] = {}
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        try:
            for protocol in SOURCE:
                listener = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(protocol))
                listener.setblocking(False)
                self._sockets.append(listener)
        except PermissionError:
            return
        threading.Thread(target=self._listen, daemon=True).start()

    def mac(self, source: str) -> str | None:
        """The MAC address of a source on our segment; None if it is elsewhere or cannot be seen."""
        if not self._sockets or not _on_link(source):
            return None
        with self._lock:
            # The frame of the connection that is asked about is in the socket's buffer by now.
            self._drain()
            return self._macs.get(source)

    def _listen(self) -> None:
        while True:
            select.select(self._sockets, [], [])
            with self._lock:
                self._drain()

    def _drain(self) -> None:
        for listener in self._sockets:
            while True:
                try:
                    header, (_name, protocol, kind, hardware, mac) = listener.recvfrom(40)
                except BlockingIOError:
                    break
                if kind == PACKET_HOST and hardware == ARPHRD_ETHER:
                    self._macs[str(ipaddress.ip_address(header[SOURCE[protocol]]))] = mac.hex(":")


@functools.lru_cache(maxsize=4096)
def _on_link(source: str) -> bool:
    """Whether the kernel would reach `source` without a gateway; then its frames carry its own MAC address."""
    with IPRoute() as routes:
        found = routes.route("get", dst=source)
    return bool(found) and found[0].get_attr("RTA_GATEWAY") is None and found[0].get_attr("RTA_VIA") is None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `egress-router observe`."""
    parser.add_argument("--address", default="", metavar="IP", help="listen on this address only (default: on all)")
    parser.add_argument(
        "--port", action="append", required=True, metavar="KIND:PORT", help="tcp:5432, udp:53 or http:80, repeatable"
    )


def main(arguments: argparse.Namespace) -> int:
    """Serve until the process is ended."""
    ports = [_port(text) for text in arguments.port]
    wire = Wire()
    addresses = [arguments.address] if arguments.address else ["0.0.0.0", "::"]
    for kind, port in ports:
        for address in addresses:
            _start(kind, address, port, wire)
    print(json.dumps({"listening": arguments.port}), flush=True)
    threading.Event().wait()
    return 0


def _port(text: str) -> tuple[str, int]:
    kind, _, number = text.partition(":")
    if kind not in KINDS or not (number.isascii() and number.isdigit() and 1 <= int(number) <= 65535):
        raise SystemExit(f"--port '{text}' is not tcp:PORT, udp:PORT or http:PORT")
    return kind, int(number)


def _start(kind: str, address: str, port: int, wire: Wire) -> None:
    if kind == "udp":
        serve: Any = functools.partial(_serve_datagrams, _datagram_socket(address, port), wire)
    else:
        serve = _Server(address, port, _Tcp if kind == "tcp" else _Http, wire).serve_forever
    threading.Thread(target=serve, daemon=True).start()


def _seen(wire: Wire, protocol: str, source: Any, local_ip: str, local_port: int) -> bytes:
    source_ip = _plain(source[0])
    seen = {
        "source_ip": source_ip,
        "source_port": source[1],
        "source_mac": wire.mac(source_ip),
        "local_ip": _plain(local_ip),
        "local_port": local_port,
        "protocol": protocol,
    }
    return json.dumps(seen).encode() + b"\n"


def _plain(ip: str) -> str:
    return ip.partition("%")[0]


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, address: str, port: int, handler: Any, wire: Wire) -> None:
        self.wire = wire
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, port), handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        super().server_bind()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error of ours."""

    def seen(self, protocol: str, connection: socket.socket) -> bytes:
        """What we say to this connection's client."""
        local = connection.getsockname()
        return _seen(self.wire, protocol, connection.getpeername(), local[0], local[1])


class _Tcp(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        self.request.sendall(self.server.seen("TCP", self.request))
        while data := self.request.recv(65536):
            self.request.sendall(data)


class _Http(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:  # the name is the library's
        body = self.server.seen("TCP", self.connection)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Clients are told what was seen; nobody reads a log of it."""


def _datagram_socket(address: str, port: int) -> socket.socket:
    if ":" in address:
        listener = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    listener.bind((address, port))
    return listener


def _serve_datagrams(listener: socket.socket, wire: Wire) -> None:
    """Answers from the address that was asked, which with many local addresses only the ancillary data knows."""
    while True:
        _data, ancillary, _flags, source = listener.recvmsg(65535, socket.CMSG_SPACE(64))
        level, kind, info = ancillary[0]
        if level == socket.IPPROTO_IPV6:
            # struct in6_pktinfo: address, interface
            local, reply = info[:16], info[:16] + bytes(4)
        else:
            # struct in_pktinfo: interface, address of the answer, address of the datagram
            local, reply = info[8:12], struct.pack("=i4s4s", 0, info[8:12], bytes(4))
        answer = _seen(wire, "UDP", source, str(ipaddress.ip_address(local)), listener.getsockname()[1])
        try:
            listener.sendmsg([answer], [(level, kind, reply)], 0, source)
        except OSError:
            # The client is gone or cannot be reached; the next one is served.
            continue
