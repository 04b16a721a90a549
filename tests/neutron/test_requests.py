"""How many requests one call for 20 routers on 3 nodes makes, and a loop of one call for each router and node."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

import pytest
from cloud import Cloud
from proxy import proxy

ROUTERS, NODES = 20, 3
WANTED = [
    {"ip_address": f"198.51.100.{200 + number}", "mac_address": f"02:e6:c6:33:64:{200 + number:02x}"}
    for number in range(ROUTERS)
]


def servers(race: Cloud, state: str) -> list[str]:
    pairs = WANTED if state == "absent" else []
    return [f"openstack:///{race.server(allowed_address_pairs=pairs).device_id}" for _number in range(NODES)]


@contextmanager
def counted(race: Cloud, state: str) -> Generator[Callable[..., tuple[list[tuple[str, str]], float]], None, None]:
    """Runs calls of the module; says which requests they made, and how long they took in seconds."""
    with proxy(race.instance.network_url) as neutron, proxy(race.instance.identity_url.removesuffix("/v3")) as keystone:
        settings = race.settings()
        settings["auth"]["auth_url"] = f"{keystone.url}/v3"
        settings["network_endpoint_override"] = neutron.url

        def run(calls: list[dict[str, object]]) -> tuple[list[tuple[str, str]], float]:
            neutron.seen.clear()
            keystone.seen.clear()
            began = time.monotonic()
            for call in calls:
                assert race.run(cloud=settings, state=state, **call)["changed"]
            return [*keystone.seen, *neutron.seen], time.monotonic() - began

        yield run


@pytest.mark.parametrize("state", ["present", "absent"])
def test_requests_do_not_grow_with_the_routers(race: Cloud, state: str) -> None:
    with counted(race, state) as run:
        seen, seconds = run([{"addresses": WANTED, "nodes": servers(race, state)}])
    print(f"\n{state}: one call {len(seen)} requests, {seconds:.1f} s")
    for method, path in seen:
        print(f"  {method} {path[:60]}")
    assert sum(method == "PUT" for method, _path in seen) == NODES
    assert len(seen) <= 8 + 2 * NODES


def test_a_loop_makes_many_times_the_requests(race: Cloud) -> None:
    with counted(race, "present") as run:
        together, seconds = run([{"addresses": WANTED, "nodes": servers(race, "present")}])
        nodes = servers(race, "present")
        apart, longer = run([{"addresses": [address], "nodes": [node]} for address in WANTED for node in nodes])
    print(
        f"\none call {len(together)} requests, {seconds:.1f} s; "
        f"loop of {ROUTERS * NODES} calls {len(apart)} requests, {longer:.1f} s"
    )
    assert len(apart) > 20 * len(together)
