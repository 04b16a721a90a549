# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The IPv4 settings of both interfaces, through rtnetlink: /proc/sys is read-only in the pod, and rtnetlink has no others.

They begin as the node's, whatever those are. Some of the kernel's settings hold if the interface or `all` has them, and
`all` cannot be set: there is another way for each (medium_id for proxy_arp, the table's output chain for send_redirects).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from pyroute2.iproute import IPRoute
from pyroute2.netlink import NLM_F_ACK, NLM_F_REQUEST, nla, nlmsg
from pyroute2.netlink.rtnl import RTM_SETLINK

from ansible_collections.egress.router.plugins.module_utils._contract.names import CLUSTER_INTERFACE, EGRESS_INTERFACE

from . import sysctl

_BOTH = {
    "forwarding": 1,
    "accept_redirects": 0,
    "send_redirects": 0,
    "accept_source_route": 0,
    "proxy_arp": 0,
    "proxy_arp_pvlan": 0,
    # No proxy ARP here even if `all` has it.
    "medium_id": -1,
}
WANTED: dict[str, dict[str, int]] = {
    CLUSTER_INTERFACE: _BOTH,
    EGRESS_INTERFACE: {
        **_BOTH,
        # Only net1's own addresses are answered for and announced on the segment, never eth0's.
        "arp_ignore": 1,
        "arp_announce": 2,
    },
}
# Of a relay's tunnel: what comes out of it has the egress address, which may be this pod's own.
TUNNEL = {**_BOTH, "rp_filter": 2, "accept_local": 1}
# How a packet's source is looked at. Not at all where the node's `all` allows that: it would cost each packet another look-up of
# the route, a tenth of what the router forwards, to find that the default route is eth0's. What is left of its use, that nobody
# else sends from the router's own addresses, is the table's, which looks at the first packet of a connection only.
UNCHECKED = {"rp_filter": 0, "accept_local": 1}
# Otherwise in loose mode (RFC 3704): answers of remote servers come in on net1.
LOOSE = {"rp_filter": 2, "accept_local": 0}
# linux/ip.h, IPV4_DEVCONF_*.
_NUMBERS = {
    "forwarding": 1,
    "proxy_arp": 3,
    "accept_redirects": 4,
    "send_redirects": 6,
    "rp_filter": 8,
    "accept_source_route": 9,
    "medium_id": 14,
    "arp_announce": 18,
    "arp_ignore": 19,
    "accept_local": 23,
    "proxy_arp_pvlan": 25,
}


class _Link(nlmsg):  # type: ignore[misc]
    """struct ifinfomsg with IFLA_AF_SPEC / AF_INET / IFLA_INET_CONF, which pyroute2 reads but cannot write."""

    fields = (("family", "B"), ("pad", "B"), ("type", "H"), ("index", "i"), ("flags", "I"), ("change", "I"))
    nla_map = ((26, "IFLA_AF_SPEC", "af_spec"),)

    class af_spec(nla):  # type: ignore[misc]
        nla_map = ((2, "AF_INET", "inet"),)

        class inet(nla):  # type: ignore[misc]
            nla_map = ((1, "IFLA_INET_CONF", "conf"),)

            class conf(nla):  # type: ignore[misc]
                nla_map = tuple((number, name, "cdata") for name, number in _NUMBERS.items())


def _of_pod(interface: str) -> dict[str, int]:
    checks = UNCHECKED if sysctl.read("net.ipv4.conf.all.rp_filter") == "0" else LOOSE
    return {**WANTED[interface], **checks}


def repair(ipr: IPRoute, interface: str, index: int, wanted: Mapping[str, int] | None = None) -> list[str]:
    """Give an interface the settings that it lacks, those of a pod's if not told; returns which. Raises NetlinkError."""
    wrong = {
        name: value
        for name, value in (_of_pod(interface) if wanted is None else wanted).items()
        if sysctl.read(f"net.ipv4.conf.{interface}.{name}") != str(value)
    }
    if wrong:
        values = [[name, struct.pack("i", value)] for name, value in wrong.items()]
        message = _Link()
        message["index"] = index
        inet = {"attrs": [["IFLA_INET_CONF", {"attrs": values}]]}
        message["attrs"] = [["IFLA_AF_SPEC", {"attrs": [["AF_INET", inet]]}]]
        ipr.nlm_request(message, msg_type=RTM_SETLINK, msg_flags=NLM_F_REQUEST | NLM_F_ACK)
    return list(wrong)
