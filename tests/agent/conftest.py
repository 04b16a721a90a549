# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures: one pod network and one segment for the run, a fake API for each module, router pods as tests ask for them."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from ansible_collections.egress.router.tests.support import figures, namespaces
from ansible_collections.egress.router.tests.support.fake_agent_api import FakeApi
from ansible_collections.egress.router.tests.support.router_pod import Router, prepare
from ansible_collections.egress.router.tests.support.waiting import until

OBSERVED = ("tcp:5432", "tcp:5433", "tcp:80", "udp:53", "tcp:53", "tcp:9999", "udp:9999", "http:8000")
_numbers = itertools.count(11)
_ports = itertools.count(8001)
pytest_terminal_summary = figures.show


@pytest.fixture(scope="session", autouse=True)
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The namespaces that all tests share, and the observer outside."""
    try:
        namespaces.build()
        namespaces.add_node("node1")
        namespaces.add_node("node2")
        log = tmp_path_factory.mktemp("observer") / "log"
        command = f"ip netns exec {namespaces.PREFIX}outside /usr/bin/python3 -m egress_router observe".split()
        for port in OBSERVED:
            command += ["--port", port]
        with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as observer:
            try:
                until(lambda: "event=observing" in log.read_text(), "the observer listens", 60)
                yield
            finally:
                observer.terminate()
    finally:
        for name in ("pods", "outside", "node1", "node2"):
            namespaces.remove(name)


@pytest.fixture(scope="module")
def api(network: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeApi]:
    """A fake API server with the objects of router billing-db."""
    fake = FakeApi("pods", "10.244.0.1", next(_ports), tmp_path_factory.mktemp("serviceaccount"))
    prepare(fake)
    yield fake
    fake.thaw()
    fake.stop()
    assert fake.refused == [], "the agent asked for what its Role does not allow"


T = TypeVar("T")
MakePod = Callable[..., Router]


@pytest.fixture
def make_pod(api: FakeApi, tmp_path: Path) -> Iterator[MakePod]:
    """Makes router pods (not started) on a node; they go with the test. Not for modules that use `router`."""
    prepare(api)
    with _pods(api, tmp_path) as make:
        yield make
    api.thaw()
    if api.stopped:
        api.start()


@pytest.fixture(scope="module")
def router(api: FakeApi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """One router that serves, for all tests of a module."""
    with _pods(api, tmp_path_factory.mktemp("router")) as make:
        yield make().serve()


class _pods:
    def __init__(self, api: FakeApi, folder: Path) -> None:
        self._api = api
        self._folder = folder
        self._made: list[Router] = []

    def __enter__(self) -> MakePod:
        return self._make

    def _make(self, node: str = "node1", tuning: dict[str, str] | None = None, user_namespace: bool = False) -> Router:
        number = next(_numbers)
        pod = f"pod{number}"
        namespaces.add_pod(pod, node, number, tuning, user_namespace)
        made = Router(self._api, self._folder, pod, number)
        made.user_namespace = user_namespace
        self._made.append(made)
        return made

    def __exit__(self, *_: object) -> None:
        for made in self._made:
            made.kill()
            # Shown by pytest when the test failed.
            print(f"--- log of {made.pod}\n{made.log()}")
            namespaces.remove(made.pod)


@pytest.fixture
def inside() -> Iterator[Callable[[Callable[[], T]], T]]:
    """Runs a function in a namespace of its own, `kernel`; libnftables and netlink sockets made there stay there."""
    namespaces.add("kernel")
    yield lambda call: namespaces.inside("kernel", call)
    namespaces.remove("kernel")


@pytest.fixture
def segment_host(network: None) -> Iterator[Callable[..., None]]:
    """Adds a host to the egress segment for one test: segment_host(MAC, ADDRESS/PREFIX, ...)."""
    names: list[str] = []
    # The observer may still have a connection of an earlier test, and would send to a MAC address that the host now has.
    namespaces.ip("-n @outside neigh flush all")

    def add(mac: str, *addresses: str) -> None:
        names.append(f"host{len(names)}")
        namespaces.add_host(names[-1], mac, *addresses)

    yield add
    for name in names:
        namespaces.remove_from_segment(name)
