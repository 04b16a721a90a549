# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Network namespaces of the tests: a pod network, an egress segment with an outside, nodes, and router pods.

pods      bridge cni0 10.244.0.1, 2001:db8:244::1    clients and the fake API server
outside   bridge seg0 198.51.100.1, 2001:db8:51::1   the gateway; all of 203.0.113.0/24 and 2001:db8:113::/64 on lo
nodeN     eth1 on the segment                        parent of the routers' macvlans
podN      eth0 in pods, net1 = macvlan of a node     what a meta-plugin would have made, tuning included
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
PREFIX = f"egr-{os.getpid()}-"

# What the NetworkAttachmentDefinition's tuning plugin sets in a router's pod, after the worst that a node may leave there.
TUNING = {
    "net.ipv4.conf.all.forwarding": "0",
    **{
        f"net.ipv4.conf.{interface}.{name}": "1"
        for interface in ("all", "eth0", "net1")
        for name in ("accept_redirects", "send_redirects", "accept_source_route", "proxy_arp", "rp_filter")
    },
    "net.ipv6.conf.all.forwarding": "1",
    "net.ipv6.conf.net1.accept_ra": "0",
    # As on a real node; the tests' other namespaces do without.
    "net.ipv6.conf.net1.accept_dad": "1",
}


def ip(text: str) -> str:
    """Run `ip`, for example `ip("-n @pods link show")`; see run."""
    return run("ip " + text)


def run(text: str, check: bool = True) -> str:
    """Run a command line; `@name` is a namespace of this run. Returns what it printed."""
    words = [PREFIX + word[1:] if word.startswith("@") else word for word in text.split()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    if check and done.returncode:
        raise AssertionError(f"{text}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def inside(name: str, call: Callable[[], T]) -> T:
    """The result of `call`, run by a thread in a namespace; a socket that it makes stays there."""
    results: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            descriptor = os.open(f"/run/netns/{PREFIX}{name}", os.O_RDONLY)
            try:
                if _libc.setns(descriptor, _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), f"setns {name}")
            finally:
                os.close(descriptor)
            results.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def set_sysctls(name: str, settings: dict[str, str]) -> None:
    """Write settings below /proc/sys of a namespace."""
    words = [f"{key}={value}" for key, value in settings.items()]
    run(f"ip netns exec @{name} sysctl -q -w {' '.join(words)}")


def add(name: str, user_namespace: bool = False) -> None:
    """A new namespace; IPv6 addresses are usable at once there. `user_namespace`: a new user namespace owns it."""
    if user_namespace:
        # `cat` answers as soon as it is inside, and ends with its input.
        command = ["unshare", "--user", "--map-root-user", "--net", "cat"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as inhabitant:
            assert inhabitant.stdin and inhabitant.stdout
            inhabitant.stdin.write(b"?")
            inhabitant.stdout.read(1)
            ip(f"netns attach @{name} {inhabitant.pid}")
    else:
        ip(f"netns add @{name}")
    ip(f"-n @{name} link set lo up")
    set_sysctls(name, {"net.ipv6.conf.default.accept_dad": "0", "net.ipv6.conf.all.accept_dad": "0"})


def remove(name: str) -> None:
    """Remove a namespace and end what still runs in it. A pod's place on the segment goes at once."""
    for pid in run(f"ip netns pids @{name}", check=False).split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    # The namespace itself goes some time later, and until then its addresses answer.
    run(f"ip -n @{name} link del net1", check=False)
    run(f"ip netns del @{name}", check=False)


def remove_from_segment(name: str) -> None:
    """Remove a node or a host. Its place on the segment goes at once; with the namespace alone it goes some time later."""
    ip(f"-n @outside link del {name}")
    remove(name)


def build() -> None:
    """The pod network and the segment."""
    add("pods")
    ip("-n @pods link add cni0 type bridge")
    ip("-n @pods link set cni0 up")
    ip("-n @pods addr add 10.244.0.1/24 dev cni0")
    ip("-n @pods addr add 2001:db8:244::1/64 dev cni0 nodad")
    add("outside")
    ip("-n @outside link add seg0 address 02:00:5e:00:53:01 type bridge")
    ip("-n @outside link set seg0 up")
    ip("-n @outside addr add 198.51.100.1/24 dev seg0")
    ip("-n @outside addr add 2001:db8:51::1/64 dev seg0 nodad")
    ip("-n @outside route add local 203.0.113.0/24 dev lo")
    ip("-n @outside -6 route add local 2001:db8:113::/64 dev lo")
    set_sysctls("outside", {"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"})


def add_node(name: str) -> None:
    """A node: eth1 on the segment."""
    add(name)
    ip(f"-n @outside link add {name} type veth peer name eth1 netns @{name}")
    ip(f"-n @outside link set {name} master seg0 up")
    ip(f"-n @{name} link set eth1 up")


def add_pod(
    name: str, node: str, number: int, tuning: dict[str, str] | None = None, user_namespace: bool = False
) -> None:
    """A router's pod with eth0 10.244.0.NUMBER and net1 without address."""
    add(name, user_namespace)
    ip(f"-n @pods link add {name} type veth peer name eth0 netns @{name}")
    ip(f"-n @pods link set {name} master cni0 up")
    ip(f"-n @{name} link set eth0 up")
    ip(f"-n @{name} addr add 10.244.0.{number}/24 dev eth0")
    ip(f"-n @{name} addr add 2001:db8:244::{number}/64 dev eth0 nodad")
    ip(f"-n @{name} route add default via 10.244.0.1")
    ip(f"-n @{name} -6 route add default via 2001:db8:244::1")
    ip(f"-n @{node} link add link eth1 name {name} type macvlan mode bridge")
    ip(f"-n @{node} link set {name} netns @{name} name net1")
    ip(f"-n @{name} link set net1 up")
    set_sysctls(name, TUNING if tuning is None else tuning)


def add_host(name: str, mac: str, *addresses: str) -> None:
    """Another host on the segment."""
    add(name)
    ip(f"-n @outside link add {name} type veth peer name eth0 address {mac} netns @{name}")
    ip(f"-n @outside link set {name} master seg0 up")
    ip(f"-n @{name} link set eth0 up")
    for address in addresses:
        ip(f"-n @{name} addr add {address} dev eth0" + (" nodad" if ":" in address else ""))
