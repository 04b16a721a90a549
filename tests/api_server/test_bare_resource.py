# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of an EgressRouter without the collection, and of the same change through it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.egress.router.tests.api_server.api import until
from ansible_collections.egress.router.tests.api_server.others import good, restart_by_hand
from ansible_collections.egress.router.tests.api_server.world import World
from ansible_collections.egress.router.tests.support.waiting import always

Figure = Callable[[str, object], None]
OLD, NEW = "5432 TCP 203.0.113.10", "8080 TCP 203.0.113.11 80"
GATEWAY = {"addresses": [{"ip": "198.51.100.50/24", "gateway": "198.51.100.2"}]}
NEW_RULES = [{"port": 8080, "destination_ip": "203.0.113.11", "target_port": 80}]


def create(world: World) -> None:
    """As somebody does with kubectl create."""
    rules = [{"port": 5432, "protocol": "TCP", "destinationIP": "203.0.113.10"}]
    spec = {"addresses": [{"ip": "198.51.100.50/24", "gateway": "198.51.100.1"}], "redirect": {"redirectRules": rules}}
    body = {
        "apiVersion": "network.operator.openshift.io/v1",
        "kind": "EgressRouter",
        "metadata": {"name": "db"},
        "spec": spec,
    }
    world.api("POST", world.paths("egressrouters"), body)
    until(lambda: world.nodes.of(world.namespace), "its pod runs")
    assert world.forwards() == [OLD]


def macs(world: World) -> set[str]:
    """Of all pods that have the address: each answers for it."""
    return {one["mac"] for one in world.nodes.of(world.namespace)}


def network(world: World) -> str:
    found: str = world.get("network-attachment-definitions")["spec"]["config"]
    return found


def test_the_pod_of_a_bare_resource_keeps_rules_that_it_has_no_more(world: World, record_property: Figure) -> None:
    create(world)
    rules: list[dict[str, Any]] = [{"port": 8080, "protocol": "TCP", "destinationIP": "203.0.113.11", "targetPort": 80}]
    world.api.merge(world.path("egressrouters"), {"spec": {"redirect": {"redirectRules": rules}}})
    until(lambda: NEW in network(world) and OLD not in network(world), "the operator has written the new rule")
    always(lambda: world.forwards() == [OLD], "the pod has been restarted", 3)
    record_property("figure", f"bare resource: its rules are {NEW}, its pod still has {world.forwards()}")
    restart_by_hand(world)
    assert world.forwards() == [NEW]


def test_two_pods_of_a_bare_resource_have_its_address_after_a_change_of_the_gateway(
    world: World, record_property: Figure
) -> None:
    create(world)
    before = macs(world)
    world.api.merge(world.path("egressrouters"), {"spec": GATEWAY})
    both = until(lambda: len(macs(world)) == 2 and macs(world), "two pods have the address")
    assert before < both
    record_property("figure", f"bare resource: {' and '.join(sorted(both))} both have 198.51.100.50")
    until(lambda: len(macs(world)) == 1, "the old pod has ended")
    # This is what is shown here.
    (overlap,) = world.nodes.overlaps
    assert "had the address" in overlap
    world.nodes.overlaps.clear()


def test_through_the_collection_neither_happens(world: World, record_property: Figure) -> None:
    good(world.deploy(world.router()))
    assert world.forwards() == [OLD]
    good(world.deploy(world.router(redirect_rules=NEW_RULES)))
    assert world.forwards() == [NEW]
    record_property("figure", f"egress.router.router: its rules are {NEW}, its pod has {world.forwards()}")
    before, started = macs(world), world.nodes.started
    good(world.deploy(world.router(redirect_rules=NEW_RULES, **GATEWAY)))
    assert world.nodes.started > started and len(macs(world)) == 1 and macs(world) != before
    # No two pods of the namespace have had the address at the same time.
    assert world.nodes.overlaps == []
    record_property(
        "figure", f"egress.router.router: {before.pop()} had 198.51.100.50, then {macs(world).pop()} had it, never both"
    )
