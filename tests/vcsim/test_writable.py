"""Whether what is missing can be changed: what preflight asks."""

from __future__ import annotations

from typing import Any

from egress_vcsim import server
from world import DV_GROUP, GROUP, OPEN, World, provider_id


def policies(world: World, node: str, network: str, **options: Any) -> list[dict[str, Any]]:
    """The policies that apply to a node on one of its networks."""
    (nic,) = world.info(nics=[{"nodes": [node], "network": network}], writable=True, **options)["nics"]
    assert (nic["node"], nic["problem"]) == (node, "")
    return list(nic["policies"])


def test_missing_before_and_complete_after(world: World) -> None:
    world.standard()
    world.distributed()
    node = provider_id(world.node(GROUP, DV_GROUP))
    for network in (GROUP, DV_GROUP):
        before = world.everything()
        found = policies(world, node, network)
        assert {policy["portgroup"] for policy in found} == {network}
        assert all("promiscuous_mode" in policy["missing"] and policy["write_error"] == "" for policy in found)
        assert world.everything() == before, "the info module has changed something"
        world.run(nics=[{"nodes": [node], "network": network}], **OPEN)
        assert {len(policy["missing"]) for policy in policies(world, node, network)} == {0}


def test_what_the_user_may_not_change(world: World) -> None:
    world.simulated("its other users have passwords of their own")
    world.standard()
    world.distributed()
    node, host = provider_id(world.node(GROUP, DV_GROUP)), next(iter(world.hosts))
    world.permit("half@vsphere.local", ["DVPortgroup.Modify"], [world.content.rootFolder])
    for user, network, lacks in (
        (server.READ_ONLY, GROUP, f"Host.Config.Network on {host}"),
        (server.READ_ONLY, DV_GROUP, f"DVPortgroup.Modify and DVPortgroup.PolicyOp on {DV_GROUP}"),
        ("half@vsphere.local", DV_GROUP, f"DVPortgroup.PolicyOp on {DV_GROUP}"),
    ):
        found = policies(world, node, network, username=user)[0]
        assert found["write_error"] == f"the user does not have the permission {lacks}"
    # What is not missing requires no permission.
    world.run(nodes=[node], nics=[{"network": DV_GROUP}], **OPEN)
    assert [one["write_error"] for one in policies(world, node, DV_GROUP, username=server.READ_ONLY)] == [""]


def test_checking_permissions_takes_two_requests(world: World) -> None:
    world.simulated("it does not count requests")
    world.standard()
    world.distributed()
    nodes = [provider_id(world.node(GROUP, DV_GROUP, host=host)) for host in world.hosts]
    counted = []
    for writable in (False, True):
        world.calls()
        world.info(nodes=nodes, writable=writable)
        counted.append(world.calls())
    assert counted[1].pop("HasPrivilegeOnEntities") == 1
    assert sum(counted[1].values()) - sum(counted[0].values()) == 1


def test_a_node_that_does_not_exist(world: World) -> None:
    world.standard()
    (nic,) = world.info(nodes=["vsphere://42170000-0000-4000-8000-00000000dead"], writable=True)["nics"]
    assert "is not a visible VM" in nic["problem"]
