"""The egress segment: a bridge in a network namespace of its own, a veth pair to every member.

The engine has no part in it, so Docker and Podman give the same segment, and the machine's packet filter does not see
its frames: nothing of it can leave the machine.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from .settings import (
    CLUSTER,
    DESTINATIONS,
    EGRESS_INTERFACE,
    GATEWAYS,
    OUTSIDE,
    OUTSIDE_ADDRESSES,
    SEGMENT,
    WORKER_ADDRESSES,
)
from .shell import LabError, run, step

BRIDGE = "bridge"
# Documentation MAC addresses (RFC 7042), made locally administered.
MACS = {
    OUTSIDE: "02:00:5e:00:53:01",
    **{worker: f"02:00:5e:00:53:{number:02x}" for number, worker in enumerate(WORKER_ADDRESSES, start=0x11)},
}


def ensure(running: dict[str, int]) -> None:
    """Plug in every member that is not. `running`: container name to process id."""
    members = {OUTSIDE: OUTSIDE_ADDRESSES, **WORKER_ADDRESSES}
    if not Path(f"/run/netns/{SEGMENT}").exists() or not _ip("-n", SEGMENT, "link", "show", BRIDGE, check=False):
        remove()
        _ip("netns", "add", SEGMENT)
        _ip("-n", SEGMENT, "link", "add", BRIDGE, "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
        _ip("-n", SEGMENT, "link", "set", BRIDGE, "up")
    for member, addresses in members.items():
        if member not in running:
            raise LabError(
                f"The container {member} does not run, so it cannot join the egress segment: `tests/lab/lab up` makes it anew."
            )
        if not _plugged(member, running[member], addresses):
            with step(f"joining {member} to the egress segment as {EGRESS_INTERFACE}"):
                _plug(member, running[member], addresses)


def remove() -> None:
    """Takes the veth pairs with it."""
    if Path(f"/run/netns/{SEGMENT}").exists():
        _ip("netns", "del", SEGMENT)


def port(member: str) -> str:
    """The member's end in the bridge: set it down to cut the member off."""
    return member.removeprefix(f"{CLUSTER}-")


def _plugged(member: str, pid: int, addresses: tuple[str, ...]) -> bool:
    there = _in(pid, "addr", "show", "dev", EGRESS_INTERFACE, check=False)
    routes = _in(pid, "route", "show", "table", "all", check=False) + _in(
        pid, "-6", "route", "show", "table", "all", check=False
    )
    return (
        MACS[member] in there
        and all(f" {address} " in there for address in addresses)
        and all(destination in routes for destination in DESTINATIONS)
        and f"master {BRIDGE}" in _ip("-n", SEGMENT, "link", "show", port(member), check=False)
    )


def _plug(member: str, pid: int, addresses: tuple[str, ...]) -> None:
    _in(pid, "link", "del", EGRESS_INTERFACE, check=False)
    _ip("-n", SEGMENT, "link", "del", port(member), check=False)
    _ip(
        "-n",
        SEGMENT,
        "link",
        "add",
        port(member),
        "type",
        "veth",
        "peer",
        "name",
        EGRESS_INTERFACE,
        "address",
        MACS[member],
        "netns",
        str(pid),
    )
    _ip("-n", SEGMENT, "link", "set", port(member), "master", BRIDGE, "up")
    run(["nsenter", "-t", str(pid), "-n", "sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=0"])
    _in(pid, "link", "set", "lo", "up")
    _in(pid, "link", "set", EGRESS_INTERFACE, "up")
    for address in addresses:
        # Nobody else can have an IPv6 address here: it may be used at once.
        _in(pid, "addr", "add", address, "dev", EGRESS_INTERFACE, *(["nodad"] if ":" in address else []))
    for destination, gateway in zip(DESTINATIONS, GATEWAYS, strict=True):
        if member == OUTSIDE:
            _in(pid, "route", "replace", "local", destination, "dev", "lo")
        else:
            _in(pid, "route", "replace", destination, "via", gateway, "dev", EGRESS_INTERFACE)


def _ip(*args: str, check: bool = True) -> str:
    return _checked(["ip", *args], check)


def _in(pid: int, *args: str, check: bool = True) -> str:
    """ip(8) in a container's network namespace; the program is the machine's."""
    return _checked(["nsenter", "-t", str(pid), "-n", "ip", *args], check)


def _checked(command: list[str], check: bool) -> str:
    done: subprocess.CompletedProcess[str] = run(command, check=check)
    return done.stdout if done.returncode == 0 else ""
