"""How many requests one call for 20 routers on 3 nodes makes, and a loop of one call for each router and node."""

from __future__ import annotations

import time

import pytest
from cloud import Cloud
from proxy import proxy

ROUTERS, NODES = 20, 3


@pytest.mark.parametrize("state", ["present", "absent"])
def test_requests_do_not_grow_with_the_routers(race: Cloud, state: str) -> None:
    wanted = [
        {"ip_address": f"198.51.100.{200 + number}", "mac_address": f"02:e6:c6:33:64:{200 + number:02x}"}
        for number in range(ROUTERS)
    ]

    def servers() -> list[str]:
        pairs = wanted if state == "absent" else []
        return [f"openstack:///{race.server(allowed_address_pairs=pairs).device_id}" for _number in range(NODES)]

    with proxy(race.instance.network_url) as neutron, proxy(race.instance.identity_url.removesuffix("/v3")) as keystone:
        settings = race.settings()
        settings["auth"]["auth_url"] = f"{keystone.url}/v3"
        settings["network_endpoint_override"] = neutron.url

        def measured(calls: list[dict[str, object]]) -> tuple[int, float]:
            neutron.seen.clear()
            keystone.seen.clear()
            began = time.monotonic()
            for call in calls:
                assert race.run(cloud=settings, state=state, **call)["changed"]
            return len(neutron.seen) + len(keystone.seen), time.monotonic() - began

        together = measured([{"addresses": wanted, "nodes": servers()}])
        writes, seen = neutron.count("PUT"), [*keystone.seen, *neutron.seen]
        assert writes == NODES
        nodes = servers()
        apart = measured([{"addresses": [address], "nodes": [node]} for address in wanted for node in nodes])
    print(f"\n{state}: one call {together[0]} requests, {together[1]:.1f} s; loop of {ROUTERS * NODES} calls {apart[0]} requests, "
          f"{apart[1]:.1f} s")  # fmt: skip
    for method, path in seen:
        print(f"  {method} {path[:60]}")
    assert together[0] <= 8 + 2 * NODES
    assert apart[0] > 20 * together[0]
