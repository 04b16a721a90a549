# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's Prometheus and Alertmanager, with the collection's rules and routes, and metrics as agents serve them."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import urllib3
import yaml
from egress_support import process

MONITORING = Path(__file__).parents[2] / "monitoring"
ROUTER = {"namespace": "payments", "router": "db"}
_pool = urllib3.PoolManager(retries=False, timeout=5)


class FakeAgent:
    """Serves metrics of a pod of a router, of which a test says whether it serves. Not the agent's own code."""

    def __init__(self) -> None:
        self.serving = True
        self.scrapes = 0

    def text(self) -> str:
        states = {"serving": int(self.serving), "failed": int(not self.serving), "on-hold": 0}
        return "".join(f'egress_router_state{{state="{state}"}} {value}\n' for state, value in states.items())


def scrape_of(agent_port: int) -> dict[str, Any]:
    """A fake agent, with the labels that monitoring/scrape.yml gives a pod's."""
    labels = {**ROUTER, "pod": "db-abc", "node": "worker-1"}
    return {
        "job_name": "egress-router",
        "static_configs": [{"targets": [f"127.0.0.1:{agent_port}"], "labels": labels}],
    }


@contextmanager
def serving(agent: FakeAgent) -> Iterator[int]:
    """Serves its metrics; yields the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = agent.text().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            agent.scrapes += 1

        def log_message(self, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@dataclass(frozen=True)
class Place:
    """Where a server listens. `inside`: words that run a command in the network which has the address."""

    address: str
    port: int
    inside: Sequence[str] = ()

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"


class Alertmanager:
    """With the route of monitoring/alertmanager.yml, which leads to a rulebook's webhook."""

    def __init__(self, folder: Path, place: Place, webhook_url: str, token: str) -> None:
        self._folder, self.url = folder, place.url
        shipped = yaml.safe_load((MONITORING / "alertmanager.yml").read_text())
        (route,), (receiver,) = shipped["route"]["routes"], shipped["receivers"]
        (webhook,) = receiver["webhook_configs"]
        (folder / "token").write_text(token)
        webhook["url"] = webhook_url
        webhook["http_config"]["authorization"]["credentials_file"] = str(folder / "token")
        # Both of them are there for alerts that come together.
        route.update(group_wait="0s", group_interval="1s")
        shipped["route"]["receiver"] = "nobody"
        shipped["receivers"].append({"name": "nobody"})
        (folder / "alertmanager.yml").write_text(yaml.safe_dump(shipped))
        package = Path(os.environ["EGRESS_ALERTMANAGER"])
        # It reads a template by its path in the package, which is not installed.
        mount = 'mount --bind "$0/usr/share" /usr/share && exec "$0/usr/bin/prometheus-alertmanager" "$@"'
        arguments = ["--config.file=alertmanager.yml", "--storage.path=alertmanager", "--cluster.listen-address=",
                     f"--web.listen-address={place.address}:{place.port}"]  # fmt: skip
        self._command = [*place.inside, "unshare", "--mount", "sh", "-c", mount, str(package), *arguments]

    def start(self) -> None:
        process.start(self._folder, "alertmanager", self._command, {})
        process.wait_for("Alertmanager", self._folder, "alertmanager", lambda: _answers(f"{self.url}/-/ready"))

    def send(self, summary: str = "An alert", **labels: str) -> None:
        """An alert as Prometheus sends it."""
        alert = {"labels": labels, "annotations": {"summary": summary}}
        answer = _pool.request("POST", f"{self.url}/api/v2/alerts", body=json.dumps([alert]),
                               headers={"Content-Type": "application/json"})  # fmt: skip
        assert answer.status == 200, answer.data


class Prometheus:
    """With the rules of monitoring/rules.yml, but that they wait for nothing. `scrape`: its only scrape configuration."""

    def __init__(self, folder: Path, place: Place, alertmanager: str, scrape: Mapping[str, Any]) -> None:
        self._folder, self.url = folder, place.url
        rules = yaml.safe_load((MONITORING / "rules.yml").read_text())
        for rule in rules["groups"][0]["rules"]:
            rule.pop("for", None)
        (folder / "rules.yml").write_text(yaml.safe_dump(rules))
        configuration: dict[str, Any] = {
            "global": {"scrape_interval": "500ms", "scrape_timeout": "400ms", "evaluation_interval": "500ms"},
            "rule_files": ["rules.yml"],
            "scrape_configs": [scrape],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager.removeprefix("http://")]}]}]},
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        program = Path(os.environ["EGRESS_PROMETHEUS"]) / "usr/bin/prometheus"
        self._command = [*place.inside, str(program), "--config.file=prometheus.yml", "--storage.tsdb.path=prometheus",
                         f"--web.listen-address={place.address}:{place.port}"]  # fmt: skip

    def start(self) -> None:
        process.start(self._folder, "prometheus", self._command, {})
        process.wait_for("Prometheus", self._folder, "prometheus", lambda: _answers(f"{self.url}/-/ready"))

    def value(self, expression: str) -> float:
        """Of an expression now; 0 if there is nothing."""
        answer = _pool.request("GET", f"{self.url}/api/v1/query", fields={"query": expression})
        found = json.loads(answer.data)["data"]["result"]
        return float(found[0]["value"][1]) if found else 0.0

    def firing(self) -> list[str]:
        """The names of alerts that fire."""
        answer = _pool.request("GET", f"{self.url}/api/v1/alerts")
        return [
            one["labels"]["alertname"] for one in json.loads(answer.data)["data"]["alerts"] if one["state"] == "firing"
        ]


def _answers(url: str) -> bool:
    try:
        return bool(_pool.request("GET", url).status == 200)
    except urllib3.exceptions.HTTPError:
        return False
