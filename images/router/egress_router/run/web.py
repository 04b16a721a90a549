# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent's HTTP server, on the pod's cluster addresses only: /healthz /readyz /metrics /rules."""

from __future__ import annotations

import http.server
import json
import socket
import socketserver
import threading
from collections.abc import Iterable
from dataclasses import asdict

from ..kernel.firewall import Firewall
from ..log import event
from ..net import IP
from . import life
from .address import EgressAddress
from .agent import Agent
from .metrics import Metrics

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
# Twice a second, unless the machine is very busy.
HEALTHY_SECONDS = 20
METRICS = "text/plain; version=0.0.4; charset=utf-8"


def serve(pages: Pages, addresses: Iterable[IP], port: int) -> None:
    """Answer on each of `addresses`, in threads. Raises OSError if one cannot be listened on."""
    handler = type("Handler", (_Handler,), {"pages": pages})
    for address in addresses:
        server = (_Server6 if address.version == 6 else _Server)((str(address), port), handler)
        threading.Thread(target=server.serve_forever, name=f"web-{address}", daemon=True).start()


class Pages:
    """What there is to read."""

    def __init__(self, agent: Agent, address: EgressAddress, firewall: Firewall, metrics: Metrics) -> None:
        self._agent = agent
        self._address = address
        self._firewall = firewall
        self._metrics = metrics

    def page(self, path: str) -> tuple[int, str, bytes]:
        """Status, content type and body of one path."""
        if path == "/healthz":
            silent = life.silent()
            problem = f"threads that do not respond: {', '.join(silent)}\n"
            return (500, TEXT, problem.encode()) if silent else (200, TEXT, b"ok\n")
        if path == "/readyz":
            text = f"{self._address.state} {self._address.error}".strip() + "\n"
            return 200 if self._agent.ready() else 503, TEXT, text.encode()
        if path == "/metrics":
            return 200, METRICS, self._metrics.text()
        if path == "/rules":
            return 200, JSON, json.dumps(self._rules()).encode()
        return 404, TEXT, b"try /healthz, /readyz, /metrics or /rules\n"

    def _rules(self) -> dict[str, object]:
        listing = self._firewall.listing()
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
            event("web-failed", path=self.path, error=repr(error))
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

    def service_actions(self) -> None:
        """Called twice a second by serve_forever."""
        life.beat(HEALTHY_SECONDS)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is not an event."""


class _Server6(_Server):
    address_family = socket.AF_INET6
