"""Nova's part, with the lab's workers as servers: their eth1 is plugged into the agent's bridge, and back again.

A worker's eth1 is one end of a veth pair. Moving the other end from the segment's bridge to the agent's makes it the
port's tap, and leaves the worker alone: its addresses, its routes, the pods on it.
"""

from __future__ import annotations

import time
import uuid

from egress_lab import segment
from egress_lab.settings import SEGMENT, WORKER_ADDRESSES
from egress_support import nodes
from egress_support.process import ServerError, say

from . import agent, namespace
from .namespace import NAME, PHYSICAL, ip, links
from .network import Network
from .settings import Instance
from .web import Identity

_UPLINK = "neutron"  # the hypervisor's port in the segment's bridge


def connect() -> None:
    """Connects the hypervisor's interface to the segment."""
    ip("-n", SEGMENT, "link", "add", _UPLINK, "type", "veth", "peer", "name", PHYSICAL, "netns", NAME)
    ip("-n", SEGMENT, "link", "set", _UPLINK, "master", segment.BRIDGE, "up")
    ip("-n", NAME, "link", "set", PHYSICAL, "up")


def plug_all(instance: Instance, network: str) -> None:
    """Every worker becomes a server with a port in `network`, and its node says which server it is.

    Servers and ports are the project's that owns the network: nobody else but an admin may change their pairs.
    """
    api = Network(instance)
    project, began = Identity(instance).find("project", "owner"), time.monotonic()
    network_id = api.find("network", network)
    ports = {}
    for worker, addresses in WORKER_ADDRESSES.items():
        server = str(uuid.uuid5(uuid.NAMESPACE_DNS, worker))
        ports[worker] = _port(api, server, worker, addresses, network_id=network_id, project_id=project)
        _plug(worker, ports[worker]["id"], network_id)
        nodes.set_provider_id(worker, f"openstack:///{server}")
        say(f"neutron: {worker} is server {server}, its eth1 tap{ports[worker]['id'][:11]}")
    # The agent acts meanwhile.
    for worker, port in ports.items():
        _wait_until_active(api, port["id"], worker)
    say(f"neutron: their ports are active after {time.monotonic() - began:.1f} s")


def unplug_all() -> None:
    """Undoes plug_all, but for the ports."""
    nodes.restore_provider_ids()
    if not namespace.exists():
        return
    for link in links():
        if home := link.get("ifalias"):
            segment_name, port = home.split("/")
            ip("-n", NAME, "link", "set", link["ifname"], "nomaster")
            ip("-n", NAME, "link", "set", link["ifname"], "netns", segment_name, "name", port)
            ip("-n", segment_name, "link", "set", port, "alias", "", "master", segment.BRIDGE, "up")
            say(f"neutron: {port} is back on {segment_name}")


def _port(api: Network, server: str, name: str, addresses: tuple[str, ...], **of: str) -> dict[str, str]:
    found = api.list("ports", device_id=server)
    if not found:
        api.create(
            "port",
            name=name,
            **of,
            device_id=server,
            device_owner="compute:nova",
            mac_address=segment.MACS[name],
            fixed_ips=[{"ip_address": address.split("/")[0]} for address in addresses],
            **{"binding:host_id": agent.HOST},
        )
        found = api.list("ports", device_id=server)
    return found[0]


def _plug(worker: str, port: str, network: str) -> None:
    tap, bridge = f"tap{port[:11]}", f"brq{network[:11]}"
    there = {link["ifname"] for link in links()}
    if bridge not in there:
        ip("-n", NAME, "link", "add", bridge, "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
        ip("-n", NAME, "link", "set", bridge, "up")
    if tap not in there:
        ip("-n", SEGMENT, "link", "set", segment.port(worker), "netns", NAME, "name", tap)
    ip("-n", NAME, "link", "set", tap, "alias", f"{SEGMENT}/{segment.port(worker)}", "master", bridge, "up")


def _wait_until_active(api: Network, port: str, worker: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while (status := api.list("ports", id=port)[0]["status"]) != "ACTIVE":
        if time.monotonic() > deadline:
            raise ServerError(f"The port {port} of {worker} is {status} after {seconds:.0f} s: see the agent's log.")
        time.sleep(0.2)
