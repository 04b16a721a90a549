# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A router pod of the tests: the real agent process, with the capabilities that the pod has, against the fake API."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

from ansible_collections.egress.router.plugins.module_utils._contract.failover import KEY, KEY_BYTES, Failover
from ansible_collections.egress.router.plugins.module_utils._contract.identity import (
    VARIABLE,
    EgressAddress,
    Identity,
    Port,
    Route,
)
from ansible_collections.egress.router.plugins.module_utils._contract.rules import RuleSet, parse
from ansible_collections.egress.router.plugins.module_utils._contract.sources import FIRST
from ansible_collections.egress.router.plugins.module_utils._contract.status import Status
from ansible_collections.egress.router.tests.support import namespaces
from ansible_collections.egress.router.tests.support.fake_agent_api import NAMESPACE, FakeApi
from ansible_collections.egress.router.tests.support.waiting import until

BEATS_SENT = "egress_router_beats_sent_total"
MAC = "02:e6:c6:33:64:32"
EGRESS4 = "198.51.100.50"
EGRESS6 = "2001:db8:51::50"
GATEWAY4 = "198.51.100.1"
GATEWAY6 = "2001:db8:51::1"
AGENT_PORT = 29797
PEERS_KEY = b"k" * KEY_BYTES
# What SIGTERM promises, by the agent's own clock, with room for a busy machine. The grace period of a pod is longer.
TERMINATED = 3.0
START_AGENT = Path(__file__).with_name("start_agent.py")
ENTER_USER_NAMESPACE = Path(__file__).with_name("enter_user_namespace.py")
# The pod's security context: root with two capabilities and no way to more.
CAPABILITIES = "setpriv --bounding-set=-all,+net_admin,+net_raw --no-new-privs"


class Router:
    """One pod of router `name`; several may share an API and a name."""

    def __init__(self, api: FakeApi, folder: Path, pod: str, number: int, name: str = "billing-db") -> None:
        self.api = api
        self.name = name
        self.pod = pod
        self.number = number
        self.ip4 = f"10.244.0.{number}"
        self.ip6 = f"2001:db8:244::{number}"
        self.replicas = 1
        self.failover = Failover(lease_seconds=3)
        self.addresses = (EgressAddress(f"{EGRESS4}/24", GATEWAY4), EgressAddress(f"{EGRESS6}/64", GATEWAY6))
        self.pod_ips = [self.ip4, self.ip6]
        self.source = FIRST
        self.headless = False
        self.user_namespace = False
        self.extra_ports: tuple[Port, ...] = ()
        self.routes: tuple[Route, ...] = ()
        # As in a cluster; otherwise each page is as fresh as the request.
        self.keeps_pages = False
        self.process: subprocess.Popen[bytes] | None = None
        self._log = folder / f"{pod}.log"
        # What the kubelet mounts of the peers' Secret.
        self.keys = folder / f"{pod}-peers"
        self.keys.mkdir(exist_ok=True)
        self.set_key(KEY, PEERS_KEY)

    def set_key(self, name: str, key: bytes | None) -> None:
        """Replace a key, as the kubelet does; None removes it."""
        if key is None:
            (self.keys / name).unlink()
        else:
            (self.keys / f".{name}").write_bytes(key)
            (self.keys / f".{name}").rename(self.keys / name)

    @property
    def lease_seconds(self) -> int:
        return self.failover.lease_seconds

    # The process

    def start(self) -> Router:
        identity = Identity(
            router=self.name,
            addresses=self.addresses,
            mac=MAC,
            replicas=self.replicas,
            headless=self.headless,
            extra_ports=self.extra_ports,
            failover=self.failover,
            routes=self.routes,
            source=self.source,
        )
        environment = {
            **os.environ,
            VARIABLE: identity.to_json(),
            **self.api.environment,
            "POD_NAME": self.pod,
            "POD_NAMESPACE": NAMESPACE,
            "POD_UID": f"uid-of-{self.pod}",
            "POD_IPS": ",".join(self.pod_ips),
            "NODE_NAME": f"node-of-{self.pod}",
            **({} if self.keeps_pages else {"FRESH_PAGES": "1"}),
        }
        within = f"/usr/bin/python3 {ENTER_USER_NAMESPACE}" if self.user_namespace else ""
        command = f"ip netns exec {namespaces.PREFIX}{self.pod} {within} {CAPABILITIES} /usr/bin/python3".split()
        command += [str(START_AGENT), str(self.keys), str(self.api.folder)]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        return self

    def serve(self) -> Router:
        """Start and wait until it serves."""
        self.start()
        return self.wait_serving()

    def wait_serving(self, seconds: float = 30.0) -> Router:
        until(lambda: self.status().serving and self.holder() == self.pod, f"{self.pod} serves", seconds)
        return self

    def await_successor(self, *others: Router) -> Router:
        """Wait until one of the others could serve, and knows that this pod counts on it: not only the Lease has to say so."""
        names = [pod.pod for pod in others]

        def known() -> bool:
            status = self.status()
            return status.successor in names and not status.successor_error

        until(known, f"{' or '.join(names)} stands by")
        sent = self.metric(BEATS_SENT)
        until(lambda: self.metric(BEATS_SENT) >= sent + 3, "it was told that it is the successor")
        return self

    def terminate(self) -> float:
        """SIGTERM, and wait until the process is gone; returns the seconds that it says it took."""
        assert self.process is not None
        before = self.log().count("event=stopped")
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)
        ends = re.findall(r"event=stopped seconds=(\S+)", self.log())
        assert len(ends) == before + 1, "the agent did not end by itself"
        return float(ends[-1])

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)

    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    # What it says of itself

    def lease(self) -> dict[str, Any]:
        return self.api.get("leases", self.name)

    def holder(self) -> str:
        return str(self.lease()["spec"].get("holderIdentity", ""))

    def status(self) -> Status:
        return Status.from_lease(self.lease())

    def endpoints(self, family: int = 4) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.api.get("endpointslices", f"{self.name}-ipv{family}").get("endpoints") or []
        return found

    def get(self, path: str, address: str = "", source: str = "") -> tuple[int, str]:
        """Status and body of a page of the agent's web server, asked from the pod network."""
        connection = connect("pods", address or self.pod_ips[0], AGENT_PORT, 10.0, source=source)
        with connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
            response = http.client.HTTPResponse(connection)
            response.begin()
            return response.status, response.read().decode()

    def ready(self) -> tuple[int, str]:
        """/readyz; zero and nothing while nobody listens."""
        try:
            return self.get("/readyz")
        except OSError:
            return 0, ""

    def metric(self, name: str) -> float:
        """The value of one sample, its labels included in `name`."""
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.get("/metrics")[1], re.M)
        assert found, f"there is no sample {name}"
        return float(found[1])

    def loaded(self) -> dict[str, Any]:
        pages: dict[str, Any] = json.loads(self.get("/rules")[1])
        return pages

    def rule(self, port: int, protocol: str) -> dict[str, Any]:
        """One IPv4 rule of /rules."""
        rules = [rule for rule in self.loaded()["rules"] if ":" not in rule["destination_ip"]]
        (found,) = [rule for rule in rules if (rule["port"], rule["protocol"]) == (port, protocol)]
        return dict(found)

    # Rules

    def put_rules(self, text: str) -> str:
        """Write the ConfigMap; returns its version."""
        return self.api.put("configmaps", f"{self.name}-rules", {"data": {"rules": text}})

    def set_rules(self, text: str, seconds: float = 15.0) -> RuleSet:
        """Write the ConfigMap and wait until the kernel has it."""
        version = self.put_rules(text)
        until(lambda: self.status().rules_version == version, f"{self.pod} dealt with the rules", seconds)
        status = self.status()
        wanted = parse(text)
        assert status.rules_error == ""
        assert (status.rules_hash, status.rules_count) == (wanted.hash(), str(len(wanted.rules)))
        return wanted

    # Its kernel

    def run(self, command: str) -> str:
        return namespaces.run(f"ip netns exec @{self.pod} {command}")

    def addresses_on_net1(self) -> set[str]:
        listed = json.loads(namespaces.ip(f"-n @{self.pod} -j addr show net1"))[0]["addr_info"]
        return {entry["local"] for entry in listed if entry["scope"] == "global"}

    def mac(self) -> str:
        return str(json.loads(namespaces.ip(f"-n @{self.pod} -j link show net1"))[0]["address"])


def prepare(api: FakeApi, name: str = "billing-db", rules: str | None = "") -> None:
    """What the role deploy makes: the Lease, the EndpointSlices, and the ConfigMap."""
    api.put("leases", name, {"spec": {}})
    for family in (4, 6):
        api.put("endpointslices", f"{name}-ipv{family}", {"addressType": f"IPv{family}"})
    if rules is not None:
        api.put("configmaps", f"{name}-rules", {"data": {"rules": rules}} if rules else {})


def connect(
    namespace: str, address: str, port: int, timeout: float = 3.0, kind: int = socket.SOCK_STREAM, source: str = ""
) -> socket.socket:
    """A connected socket in a namespace."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET

    def body() -> socket.socket:
        connection = socket.socket(family, kind)
        connection.settimeout(timeout)
        connection.bind((source, 0))
        connection.connect((address, port))
        return connection

    return namespaces.inside(namespace, body)


def ask(
    address: str, port: int, protocol: str = "TCP", namespace: str = "pods", timeout: float = 3.0, source: str = ""
) -> dict[str, Any]:
    """What the observer says to one connection (TCP) or datagram (UDP)."""
    kind = socket.SOCK_DGRAM if protocol == "UDP" else socket.SOCK_STREAM
    with connect(namespace, address, port, timeout, kind, source) as connection:
        if protocol == "UDP":
            connection.send(b"?")
        found: dict[str, Any] = json.loads(connection.makefile("rb").readline())
        return found


class Stream:
    """A TCP connection to the observer that can be asked whether it still works."""

    def __init__(self, address: str, port: int) -> None:
        # A busy machine may take its time for the first packet of all, not for those after it.
        self._connection = connect("pods", address, port, timeout=10)
        self._connection.settimeout(3)
        self._reader = self._connection.makefile("rb")
        self.seen = json.loads(self._reader.readline())

    def echoes(self) -> bool:
        """Whether a line comes back; False if the connection was cut."""
        try:
            self._connection.sendall(b"still there\n")
            return self._reader.readline() == b"still there\n"
        except OSError:
            return False

    def reset(self) -> bool:
        """Whether the pod answers the next line by cutting the connection; False if it goes on, or if nothing comes."""
        try:
            self._connection.sendall(b"still there\n")
            return not self._reader.readline()
        except TimeoutError:
            return False
        except ConnectionError:
            return True

    def was_reset(self) -> bool:
        """Whether the connection ended by itself, without another word from here."""
        try:
            return not self._reader.readline()
        except TimeoutError:
            return False
        except ConnectionError:
            return True

    def close(self) -> None:
        self._connection.close()
