# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent's HTTP server, on the pod's cluster addresses only: /healthz /readyz /metrics /rules.

Anybody in the cluster may ask, as often as they like. So what takes time is made once for all who ask meanwhile, a few may
wait for it, and the oldest connection makes room for a new one: nobody keeps the kubelet's probes out.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import socketserver
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

from ..kernel.firewall import Firewall
from ..kernel.table import Listing
from ..log import event
from ..net import IP
from . import life
from .address import EgressAddress
from .agent import Agent
from .metrics import Metrics

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
METRICS = "text/plain; version=0.0.4; charset=utf-8"
COUNTERS = {"/metrics": METRICS, "/rules": JSON}
# Pages of the kernel's counters are kept for this long, if they took longer than that: with many rules, or many who ask.
FRESH_SECONDS = 1.0
QUICK_SECONDS = 0.1
# How many may wait while they are made; the others are told to try again.
WAITING = 4
CONNECTIONS = 64
# How many the kernel lets wait to be accepted. Of socketserver's 5 some come again after a second, and so does a probe.
BACKLOG = 2 * CONNECTIONS
# How often a server says that it lives when nobody asks anything, unless the machine is very busy.
LOOK_SECONDS = 5.0
HEALTHY_SECONDS = 20


def serve(pages: Pages, addresses: Iterable[IP], port: int) -> None:
    """Answer on each of `addresses`, in threads. Raises OSError if one cannot be listened on."""
    handler = type("Handler", (_Handler,), {"pages": pages})
    for address in addresses:
        server = (_Server6 if address.version == 6 else _Server)((str(address), port), handler)
        threading.Thread(target=server.serve_forever, args=(LOOK_SECONDS,), name=f"web-{address}", daemon=True).start()


class Busy(Exception):
    """Enough others are waiting."""


class Shared:
    """What takes time to make, made once for all who ask meanwhile."""

    def __init__(self, make: Callable[[], dict[str, bytes]]) -> None:
        self._make = make
        self._waiting = threading.Semaphore(WAITING)
        self._lock = threading.Lock()
        # When to make it again, and what it is until then.
        self._made: tuple[float, dict[str, bytes]] = (0.0, {})

    def get(self) -> dict[str, bytes]:
        """What was made FRESH_SECONDS ago at most. Raises Busy."""
        until, made = self._made
        if time.monotonic() < until:
            return made
        if not self._waiting.acquire(blocking=False):
            raise Busy
        try:
            with self._lock:
                started = time.monotonic()
                until, made = self._made
                if started >= until:
                    made = self._make()
                    now = time.monotonic()
                    self._made = (0.0, {}) if now - started < QUICK_SECONDS else (now + FRESH_SECONDS, made)
                return made
        finally:
            self._waiting.release()


class Pages:
    """What there is to read."""

    def __init__(self, agent: Agent, address: EgressAddress, firewall: Firewall, metrics: Metrics) -> None:
        self._agent = agent
        self._address = address
        self._firewall = firewall
        self._metrics = metrics
        self._counters = Shared(self._make)

    def page(self, path: str) -> tuple[int, str, bytes]:
        """Status, content type and body of one path."""
        if path == "/healthz":
            silent = life.silent()
            problem = f"threads that do not respond: {', '.join(silent)}\n"
            return (500, TEXT, problem.encode()) if silent else (200, TEXT, b"ok\n")
        if path == "/readyz":
            text = f"{self._address.state} {self._address.error}".strip() + "\n"
            return 200 if self._agent.ready() else 503, TEXT, text.encode()
        try:
            if path in COUNTERS:
                return 200, COUNTERS[path], self._counters.get()[path]
        except Busy:
            return 503, TEXT, b"too many requests at once: try again in a second\n"
        return 404, TEXT, b"try /healthz, /readyz, /metrics or /rules\n"

    def _make(self) -> dict[str, bytes]:
        listing = self._firewall.listing()
        return {"/metrics": self._metrics.text(listing), "/rules": json.dumps(self._rules(listing)).encode()}

    @staticmethod
    def _rules(listing: Listing) -> dict[str, object]:
        rules = listing.rules()
        fallback = None
        if rules.fallback_ip:
            fallback = {"destination_ip": rules.fallback_ip, **asdict(listing.fallback_counters(rules.fallback_ip))}
        return {
            "hash": rules.hash(),
            "rules": [
                {**rule.as_dict(), "name": rule.name, **asdict(listing.rule_counters(rule))} for rule in rules.rules
            ],
            "fallback": fallback,
        }


class _Handler(http.server.BaseHTTPRequestHandler):
    pages: Pages
    protocol_version = "HTTP/1.1"
    # Head and body are two packets, of which the second would wait for an acknowledgement.
    disable_nagle_algorithm = True
    # Seconds to wait for a client that sends nothing.
    timeout = 10

    def do_GET(self) -> None:
        try:
            status, kind, body = self.pages.page(self.path.partition("?")[0])
        except Exception as error:  # The server must go on, and the client must know.
            event("web-failed", path=self.path[:100], error=repr(error))
            status, kind, body = 500, TEXT, f"{error}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Probes and scrapes are not events."""


class _Server(socketserver.ThreadingTCPServer):
    # Not http.server's: that one looks up its own name, and without an answer of the name server it waits for seconds.
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = BACKLOG

    def __init__(self, *arguments: Any) -> None:
        self._open: OrderedDict[socket.socket, None] = OrderedDict()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        """The accepting thread: make room for a new connection."""
        self._open[request] = None
        while len(self._open) > CONNECTIONS:
            with contextlib.suppress(OSError, KeyError):
                oldest, _nothing = self._open.popitem(last=False)
                # Its own thread notices, and closes it.
                oldest.shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Any thread: the connection is over."""
        self._open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Called by serve_forever after each request, and at least each LOOK_SECONDS."""
        life.beat(HEALTHY_SECONDS)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is not an event."""


class _Server6(_Server):
    address_family = socket.AF_INET6
