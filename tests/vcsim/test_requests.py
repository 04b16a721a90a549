"""How many requests a call takes, and how long, beside a loop of the neighbour's modules."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from world import DV_GROUP, GROUP, OPEN, World, provider_id

PLAYBOOKS = Path(__file__).parent / "playbooks"


def play(world: World, playbook: str, nodes: list[str]) -> tuple[float, int]:
    """Seconds and requests of a playbook."""
    world.calls()
    began = time.monotonic()
    done = subprocess.run(
        ["ansible-playbook", str(PLAYBOOKS / playbook), f"--extra-vars={json.dumps({'nodes': nodes})}"],
        env={**os.environ, **world.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return time.monotonic() - began, sum(world.calls().values())


def reject(world: World) -> None:
    world.run(
        targets=[{"esxi_hostname": host, "portgroup": GROUP} for host in world.hosts], **dict.fromkeys(OPEN, False)
    )


def test_requests_do_not_grow_with_the_nodes(world: World) -> None:
    world.simulated("it does not count requests")
    world.standard()
    world.distributed()
    hosts = list(world.hosts)
    nodes = [provider_id(world.node(GROUP, DV_GROUP, host=hosts[n % 3])) for n in range(20)]
    nics = [{"network": GROUP}, {"network": DV_GROUP}]
    counted: list[dict[str, int]] = []
    for some in (nodes[:3], nodes):
        world.calls()
        world.run(check=True, nodes=some, nics=nics, **OPEN)
        counted.append(world.calls())
    assert counted[0] == counted[1]
    assert sum(counted[0].values()) <= 20


def test_show_twenty_nodes(world: World) -> None:
    world.simulated("it does not count requests")
    world.standard()
    hosts = list(world.hosts)
    vms = [world.node(GROUP, host=hosts[n % 3]) for n in range(20)]
    nodes = [provider_id(vm) for vm in vms]

    rows: list[tuple[str, Any, Any]] = []
    seconds, requests = play(world, "one_call.yml", nodes)
    rows.append(("one call, 20 nodes, 3 port groups change", seconds, requests))
    assert {world.flags(host)[0] for host in hosts} == {True}
    again = play(world, "one_call.yml", nodes)
    rows.append(("one call, 20 nodes, nothing changes", *again))
    reject(world)
    one, five = (play(world, "loop.yml", [vm.name for vm in vms[:count]]) for count in (1, 5))
    rows.append(("loop of community.vmware, 5 of the 20 nodes", *five))
    more = [(at_five - at_one) / 4 for at_one, at_five in zip(one, five, strict=True)]
    rows.append(("the same for 20, by what each further node adds", five[0] + 15 * more[0], five[1] + 15 * more[1]))
    world.show("\n".join(f"{what:<60}{seconds:>8.1f} s{requests:>8.0f} requests" for what, seconds, requests in rows))
    assert requests < five[1]
