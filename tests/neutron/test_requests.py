"""How many requests one call makes for many routers and nodes, and a loop of one call for each router and node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager

import pytest
from cloud import Cloud
from proxy import proxy

# Neutron's default limit of pairs for a port.
ROUTERS, NODES = 10, 3
WANTED = [
    {"ip_address": f"198.51.100.{220 + number}", "mac_address": f"02:e6:c6:33:64:{220 + number:02x}"}
    for number in range(ROUTERS)
]


def servers(api: Cloud, state: str, count: int = NODES) -> list[str]:
    pairs = WANTED if state == "absent" else []
    return [f"openstack:///{api.server(allowed_address_pairs=pairs).device_id}" for _number in range(count)]


@contextmanager
def counted(api: Cloud, state: str) -> Generator[Callable[..., Counter[str]], None, None]:
    """Runs a call of the module, which has to change something, and returns its requests by method."""
    with proxy(api.instance.network_url) as neutron, proxy(api.instance.identity_url.removesuffix("/v3")) as keystone:
        settings = api.settings()
        settings["auth"]["auth_url"] = f"{keystone.url}/v3"
        settings["network_endpoint_override"] = neutron.url

        def run(addresses: list[dict[str, str]], nodes: list[str]) -> Counter[str]:
            neutron.seen.clear()
            keystone.seen.clear()
            assert api.run(cloud=settings, state=state, addresses=addresses, nodes=nodes)["changed"]
            return Counter(method for method, _path in [*keystone.seen, *neutron.seen])

        yield run


@pytest.mark.parametrize("state", ["present", "absent"])
def test_requests_do_not_grow_with_the_routers(api: Cloud, state: str) -> None:
    with counted(api, state) as run:
        one = run(WANTED[:1], servers(api, state))
        all_ = run(WANTED, servers(api, state))
    print(f"\n{state}: 1 router {one.total()} requests, {ROUTERS} routers {all_.total()} requests")
    assert all_ == one
    assert all_["PUT"] == NODES
    assert all_.total() <= 8 + 2 * NODES


def test_a_loop_makes_many_times_the_requests(api: Cloud) -> None:
    """Each call of the loop makes the same requests, so one tells what all of them would make."""
    with counted(api, "present") as run:
        together = run(WANTED, servers(api, "present")).total()
        single = run(WANTED[:1], servers(api, "present", 1)).total()
    apart = ROUTERS * NODES * single
    print(f"\none call {together} requests; loop of {ROUTERS * NODES} calls {apart} requests")
    assert apart > 10 * together
