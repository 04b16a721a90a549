# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Both ends of an acceptance test, as users run them: the commands and their JSON."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from egress_router.proof import observe

from ansible_collections.egress.router.tests.support import namespaces
from ansible_collections.egress.router.tests.support.router_pod import EGRESS4, EGRESS6, MAC, Router
from ansible_collections.egress.router.tests.support.waiting import until


def probe(*options: str, namespace: str = "pods") -> list[dict[str, Any]]:
    """The results of `egress-router probe` in a namespace."""
    command = ["ip", "netns", "exec", namespaces.PREFIX + namespace, "/usr/bin/python3", "-m", "egress_router", "probe"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=60, check=True)
    return list(json.loads(done.stdout)["results"])


@pytest.fixture(scope="module")
def rules(router: Router) -> Router:
    router.set_rules("5432 TCP 203.0.113.10\n80 TCP 203.0.113.11 8000\n53 UDP 203.0.113.12\n7 UDP 203.0.113.10\n")
    return router


def test_probe_tells_what_the_server_saw(rules: Router) -> None:
    targets = [f"tcp://{rules.ip4}:5432", f"udp://{rules.ip4}:53", f"http://{rules.ip4}:80/x"]
    results = probe(*[word for target in targets for word in ("--target", target)], "--count", "3")
    assert [result["target"] for result in results] == targets
    for result, server in zip(results, ("203.0.113.10", "203.0.113.12", "203.0.113.11"), strict=True):
        assert (result["attempts"], result["connected"], result["errors"]) == (3, 3, [])
        (seen,) = result["observed"]
        assert (seen["source_ip"], seen["source_mac"], seen["local_ip"], seen["count"]) == (EGRESS4, MAC, server, 3)
        assert seen["protocol"] in ("TCP", "UDP") and seen["source_port"] > 0
        assert 0 < result["seconds"]["min"] <= result["seconds"]["median"] <= result["seconds"]["max"]
    assert results[2]["observed"][0]["local_port"] == 8000


def test_probe_tells_refusals_and_silence(rules: Router) -> None:
    results = probe(
        *("--target", f"tcp://{rules.ip4}:1", "--target", f"udp://{rules.ip4}:1", "--target", "tcp://10.244.0.250:1"),
        *("--target", "tcp://no.such.name.invalid:1", "--timeout", "0.5", "--count", "2"),
    )
    outcomes = [[result[name] for name in ("connected", "refused", "timed_out", "failed")] for result in results]
    assert outcomes == [[0, 2, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 2]]
    assert all(result["observed"] == [] and result["seconds"]["min"] is None for result in results)
    assert results[3]["errors"]


def test_probe_ipv6_and_a_server_that_is_no_observer(router: Router) -> None:
    import socket
    import threading

    listener = namespaces.inside("pods", lambda: socket.create_server(("::1", 7001), family=socket.AF_INET6))

    def hang_up() -> None:
        listener.accept()[0].close()

    thread = threading.Thread(target=hang_up)
    thread.start()
    (result,) = probe("--target", "tcp://[::1]:7001")
    thread.join()
    listener.close()
    assert (result["connected"], result["observed"]) == (1, [])


def test_probe_uses_the_family_that_a_target_names(router: Router) -> None:
    router.set_rules(
        "5432 TCP 203.0.113.10\n5432 TCP 2001:db8:113::10\n80 TCP 2001:db8:113::11 8000\n53 UDP 2001:db8:113::12\n"
    )
    targets = [
        f"tcp4://{router.ip4}:5432",
        f"tcp6://[{router.ip6}]:5432",
        f"http6://[{router.ip6}]:80",
        f"udp6://[{router.ip6}]:53",
    ]
    targets += [f"tcp4://[{router.ip6}]:5432", f"udp6://{router.ip4}:53"]
    results = probe(*[word for target in targets for word in ("--target", target)])
    assert [(result["target"], result["connected"]) for result in results] == list(
        zip(targets, (1, 1, 1, 1, 0, 0), strict=True)
    )
    assert [result["observed"][0]["source_ip"] for result in results[:4]] == [EGRESS4, EGRESS6, EGRESS6, EGRESS6]


def test_probe_holds_a_connection(rules: Router) -> None:
    (result,) = probe("--target", f"tcp://{rules.ip4}:5432", "--hold", "1")
    assert result["interrupted"] is False and result["held_seconds"] >= 1


def test_probe_tells_that_a_held_connection_was_interrupted(router: Router) -> None:
    router.set_rules("5433 TCP 203.0.113.10\n")
    command = ["ip", "netns", "exec", f"{namespaces.PREFIX}pods", "/usr/bin/python3", "-m", "egress_router", "probe"]
    command += ["--target", f"tcp://{router.ip4}:5433", "--hold", "20", "--timeout", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        until(lambda: router.rule(5433, "TCP")["packets"] > 8, "the connection is held")
        router.set_rules("5432 TCP 203.0.113.10\n80 TCP 203.0.113.11 8000\n53 UDP 203.0.113.12\n7 UDP 203.0.113.10\n")
        output, _error = process.communicate(timeout=10)
    (result,) = json.loads(output)["results"]
    assert result["interrupted"] is True and 0 < result["held_seconds"] < 10 and result["errors"]


@pytest.mark.parametrize(
    "options",
    [["--target", "ftp://a:1"], ["--target", "tcp://a"], ["--target", "tcp://a:99999"], []],
)
def test_probe_refuses_wrong_options(options: list[str]) -> None:
    done = subprocess.run(
        ["/usr/bin/python3", "-m", "egress_router", "probe", *options],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 2 and "error:" in done.stderr


@pytest.fixture
def observer(tmp_path: Path) -> Iterator[None]:
    """An observer without any capability, in the pod network."""
    command = (
        f"ip netns exec {namespaces.PREFIX}pods setpriv --bounding-set=-all --no-new-privs /usr/bin/python3".split()
    )
    command += ["-m", "egress_router", "observe", "--address", "10.244.0.1", "--port", "tcp:7100", "--port", "udp:7100"]
    log = tmp_path / "log"
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, env=dict(os.environ)) as process:
        until(lambda: "event=observing" in log.read_text(), "the observer listens")
        yield
        process.terminate()
        assert process.wait(5) == 0
    assert "source_macs=False" in log.read_text()


def test_observe_without_permission_has_no_mac(observer: None, router: Router) -> None:
    for target in ("tcp://10.244.0.1:7100", "udp://10.244.0.1:7100"):
        (result,) = probe("--target", target, namespace=router.pod)
        (seen,) = result["observed"]
        assert (seen["source_ip"], seen["source_mac"], seen["local_port"]) == (router.ip4, None, 7100)


def test_observe_behind_a_gateway_has_no_mac(router: Router) -> None:
    """The frame's sender is the gateway then, and not who asks."""
    (result,) = probe("--target", "tcp://203.0.113.10:5432", namespace="outside")
    assert result["observed"][0]["source_mac"] is None


def test_a_datagram_whose_frame_is_late_keeps_nobody_waiting() -> None:
    answered: list[str] = []
    waited: list[bool] = []
    other_answered = threading.Event()

    class Late:
        """Does not see the frame of one source until the other one is answered."""

        port = 0

        def mac(self, _protocol: int, _ip: str, port: int, wait: float = 5.0) -> str | None:
            if port == self.port:
                if wait:
                    waited.append(other_answered.wait(wait))
                return None
            return MAC

    async def ask(name: str, client: socket.socket) -> None:
        answer = json.loads(await asyncio.get_running_loop().sock_recv(client, 4096))
        answered.append(f"{name} {answer['source_mac']}")
        if name == "other":
            other_answered.set()

    async def body() -> None:
        sniffer: Any = Late()
        (server,) = observe._sockets("127.0.0.1", "udp", 0)
        with server, socket.socket(type=socket.SOCK_DGRAM) as late, socket.socket(type=socket.SOCK_DGRAM) as other:
            for client in (late, other):
                client.setblocking(False)
                client.connect(server.getsockname())
            sniffer.port = late.getsockname()[1]
            asyncio.get_running_loop().add_reader(server, observe._answer_datagram, server, sniffer)
            late.send(b"?")
            other.send(b"?")
            await asyncio.wait_for(asyncio.gather(ask("late", late), ask("other", other)), 20)

    asyncio.run(body())
    assert answered == [f"other {MAC}", "late None"] and waited == [True]
