# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kernel's connection tracking: find and end redirected connections, and read how full the table is.

The list of connections is read here and not by pyroute2, which takes 0.16 ms and 7 KB for each connection, at once for all of
them: with 40,000 connections more than the pod's memory. This takes a tenth of the time, and no memory.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
import struct
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from pyroute2.netlink.nfnetlink.nfctsocket import NFCTSocket

from ansible_collections.egress.router.plugins.module_utils._contract.rules import RuleSet

from ..net import IP
from . import sysctl
from .marks import BASE, MASK, RESERVED, fallback_mark, rule_mark
from .netfilter import (
    ACK,
    CREATE,
    DONE,
    DUMP,
    ERROR,
    EXCLUSIVE,
    NESTED,
    REQUEST,
    attribute,
    attributes,
    check,
    connect,
    read,
    request,
)

# Each deletion by mark walks the whole kernel table. With more marks than this, first find out which of them are in use.
_FEW = 16

# No free source port or a clash; the table is full; connections that gave way because it is nearly full.
STATISTICS = ("insert_failed", "drop", "early_drop")

# linux/netfilter/nfnetlink_conntrack.h
_NEW, _GET, _DELETE = (1 << 8 | number for number in (0, 1, 2))
_TUPLE_ORIG, _TUPLE_REPLY, _PROTOINFO, _TIMEOUT, _MARK, _MARK_MASK = 1, 2, 4, 7, 8, 21
_TUPLE_IP, _TUPLE_PROTO = 1, 2
# Source and destination, IPv4 and IPv6.
_IP_SOURCES, _IP_DESTINATIONS = (1, 3), (2, 4)
_PROTO_NUMBER, _PROTO_SOURCE_PORT, _PROTO_DESTINATION_PORT = 1, 2, 3
_PROTOINFO_TCP, _TCP_STATE = 1, 1
# linux/netfilter/nf_conntrack_tcp.h: TIME_WAIT and CLOSE, in which nothing is said any more.
_TCP_ENDED = (7, 8)
_TCP_ESTABLISHED = 3
# SYN_SENT, SYN_RECV, and both ends at once.
_TCP_HALF_OPEN = (1, 2, 9)
# Messages in one: the kernel answers each that it refuses, and that has to fit into the socket's buffer.
_TOGETHER = 100
# How the kernel writes what is wanted of each of very many: where the reply's tuple is, how it begins, and what is in it.
_REPLIES: dict[int, tuple[int, bytes, struct.Struct]] = {
    family: (
        20 + 44 + 2 * size,
        struct.pack("6H", 44 + 2 * size, NESTED | _TUPLE_REPLY, 12 + 2 * size, NESTED | _TUPLE_IP, 4 + size, kind),
        # Source; protocol, its port, and the other one.
        struct.Struct(f">12x{size}s{4 + size}x4x4xB3x4xH2x4xH2x"),
    )
    for family, size, kind in ((socket.AF_INET, 4, _IP_SOURCES[0]), (socket.AF_INET6, 16, _IP_SOURCES[1]))
}
_TCP_STATE_HEAD = struct.pack("6H", 48, NESTED | _PROTOINFO, 44, NESTED | _PROTOINFO_TCP, 5, _TCP_STATE)


class Path(NamedTuple):
    """From where to where the packets of one direction go."""

    protocol: int
    source: IP
    source_port: int
    target: IP
    target_port: int

    @property
    def back(self) -> Path:
        """The other way."""
        return Path(self.protocol, self.target, self.target_port, self.source, self.source_port)


class Connection(NamedTuple):
    """A redirected connection. `request`: from the client to the router, `reply`: from the server to the router's egress address.

    `key`: what the kernel finds it by.
    """

    mark: int
    request: Path
    reply: Path
    family: int
    key: bytes


def connections() -> Iterator[Connection]:
    """All connections that have a mark of ours. Raises OSError."""
    return map(_connection, _dump())


def used() -> Counter[int]:
    """How many connections each mark of ours has, closed ones included whose source port is not free yet. Raises OSError."""
    return Counter(_mark(message, attributes(message, 20, len(message))) for message in _dump())


def open_ports(half_open: bool = True) -> dict[tuple[int, bytes, int], list[int]]:
    """The egress source ports of redirected connections that have not ended, by protocol, server (packed) and its port.

    Without `half_open`: but for those of TCP that only one end has opened. Raises OSError. Made for tens of thousands, because
    a move of the address waits for it: the kernel writes messages the same way each time, and only one that looks different
    is read attribute by attribute.
    """
    found: dict[tuple[int, bytes, int], list[int]] = {}
    ignored = _TCP_ENDED if half_open else (*_TCP_ENDED, *_TCP_HALF_OPEN)
    for message in _dump():
        start, head, reply = _REPLIES[message[16]]
        if message.startswith(head, start):
            address, protocol, server_port, port = reply.unpack_from(message, start)
        else:
            path = _connection(message).reply
            address, protocol, server_port, port = path.source.packed, path.protocol, path.source_port, path.target_port
        if protocol == socket.IPPROTO_TCP and _tcp_state(message) in ignored:
            continue
        found.setdefault((protocol, address, server_port), []).append(port)
    return found


def statistics() -> dict[str, int]:
    """What connection tracking could not do since this network namespace was made: connections by reason.

    Raises OSError or NetlinkError.
    """
    found = dict.fromkeys(STATISTICS, 0)
    with NFCTSocket(nfgen_family=socket.AF_UNSPEC) as conntrack:
        for processor in conntrack.stat():
            for name in found:
                found[name] += processor.get_attr(f"CTA_STATS_{name.upper()}") or 0
    return found


def _dump() -> Iterator[bytes]:
    mark = attribute(_MARK, struct.pack(">I", BASE)) + attribute(_MARK_MASK, struct.pack(">I", MASK))
    with connect() as netlink:
        netlink.send(request(_GET, REQUEST | DUMP, socket.AF_UNSPEC, mark))
        while True:
            for kind, message in read(netlink.recv(1 << 17)):
                if kind == DONE:
                    return
                if kind == ERROR:
                    check(message, -errno.ENOENT)
                elif kind == _NEW:
                    yield message


def cut(marks: Collection[int]) -> None:
    """End the connections with these marks: their next packet counts as new, and is refused. Raises OSError."""
    if not marks:
        return
    if len(marks) > _FEW:
        marks = {connection.mark for connection in connections()}.intersection(marks)
    with NFCTSocket(nfgen_family=socket.AF_UNSPEC) as conntrack:
        for mark in marks:
            conntrack.flush(mark=mark, mark_mask=0xFFFFFFFF)


def cut_all() -> None:
    """End all redirected connections. Raises OSError."""
    with NFCTSocket(nfgen_family=socket.AF_UNSPEC) as conntrack:
        conntrack.flush(mark=BASE, mark_mask=MASK)


def reserve(paths: Iterable[Path], seconds: int) -> None:
    """Use none of these for connections of this pod, for so long: packets of others come this way. Raises OSError.

    The kernel chooses a source port that no entry has, so each gets an entry, with a mark of its own. A packet of the other pod's
    that comes here all the same is one of a new connection then, as without it.
    """
    later = attribute(_TIMEOUT, struct.pack(">I", seconds)) + attribute(_MARK, struct.pack(">I", RESERVED))
    established = attribute(NESTED | _PROTOINFO_TCP, attribute(_TCP_STATE, bytes([_TCP_ESTABLISHED])))
    state = {socket.IPPROTO_TCP: attribute(NESTED | _PROTOINFO, established)}
    messages = [
        request(
            _NEW,
            REQUEST | CREATE | EXCLUSIVE,
            socket.AF_INET if path.source.version == 4 else socket.AF_INET6,
            _tuple(_TUPLE_ORIG, path) + _tuple(_TUPLE_REPLY, path.back) + later + state.get(path.protocol, b""),
        )
        for path in paths
    ]
    with connect() as netlink:
        # The kernel has answered when it has taken the messages; only what it refuses.
        netlink.setblocking(False)
        for at in range(0, len(messages), _TOGETHER):
            netlink.send(b"".join(messages[at : at + _TOGETHER]))
            with contextlib.suppress(BlockingIOError):
                while True:
                    for _kind, answer in read(netlink.recv(1 << 17)):
                        check(answer, -errno.EEXIST)


def free_reserved() -> None:
    """Keep nothing for others any more. Raises OSError."""
    with NFCTSocket(nfgen_family=socket.AF_UNSPEC) as conntrack:
        conntrack.flush(mark=RESERVED, mark_mask=0xFFFFFFFF)


def cut_others(rules: RuleSet, sources: Collection[IP]) -> int:
    """End every redirected connection that leads elsewhere than `rules` do; returns how many there were. Raises OSError.

    `sources`: from where those of rules without a source of their own leave.
    """
    servers: dict[int, tuple[IP, int | None, Collection[IP]]] = {
        rule_mark(rule.family, rule.protocol, rule.port): (
            ipaddress.ip_address(rule.destination_ip),
            rule.target_port,
            [ipaddress.ip_address(rule.source_ip)] if rule.source_ip else sources,
        )
        for rule in rules.rules
    }
    if rules.fallback_ip:
        fallback = ipaddress.ip_address(rules.fallback_ip)
        servers[fallback_mark(fallback.version)] = (fallback, None, sources)
    strays = []
    for connection in connections():
        ip, port, own = servers.get(connection.mark, (None, None, ()))
        if (
            connection.reply.source != ip
            or port not in (None, connection.reply.source_port)
            or connection.reply.target not in own
        ):
            strays.append(connection)
    with connect() as netlink:
        for connection in strays:
            netlink.send(request(_DELETE, REQUEST | ACK, connection.family, connection.key))
            for _kind, message in read(netlink.recv(1 << 17)):
                check(message, -errno.ENOENT)
    return len(strays)


def usage() -> tuple[int | None, int | None]:
    """How many connections this network namespace tracks, and the limit; None without connection tracking."""
    count, limit = (sysctl.read(f"net.netfilter.nf_conntrack_{name}") for name in ("count", "max"))
    return (None if count is None else int(count)), (None if limit is None else int(limit))


def _connection(message: bytes) -> Connection:
    found = attributes(message, 20, len(message))
    request, reply = (_path(message, found[kind]) for kind in (_TUPLE_ORIG, _TUPLE_REPLY))
    key = attribute(NESTED | _TUPLE_ORIG, message[slice(*found[_TUPLE_ORIG])])
    return Connection(_mark(message, found), request, reply, message[16], key)


def _path(message: bytes, where: tuple[int, int]) -> Path:
    found = attributes(message, *where)
    ips, protocol = attributes(message, *found[_TUPLE_IP]), attributes(message, *found[_TUPLE_PROTO])
    source, target = (
        ipaddress.ip_address(message[slice(*next(ips[kind] for kind in kinds if kind in ips))])
        for kinds in (_IP_SOURCES, _IP_DESTINATIONS)
    )
    source_port, target_port = (
        struct.unpack_from(">H", message, protocol[kind][0])[0]
        for kind in (_PROTO_SOURCE_PORT, _PROTO_DESTINATION_PORT)
    )
    return Path(message[protocol[_PROTO_NUMBER][0]], source, source_port, target, target_port)


def _tcp_state(message: bytes) -> int | None:
    at = message.find(_TCP_STATE_HEAD)
    if at >= 0:
        return message[at + len(_TCP_STATE_HEAD)]
    where: tuple[int, int] | None = (20, len(message))
    for kind in (_PROTOINFO, _PROTOINFO_TCP, _TCP_STATE):
        where = attributes(message, *where).get(kind) if where else None
    return message[where[0]] if where else None


def _mark(message: bytes, found: dict[int, tuple[int, int]]) -> int:
    mark: int = struct.unpack_from(">I", message, found[_MARK][0])[0]
    return mark


def _tuple(kind: int, path: Path) -> bytes:
    version = 0 if path.source.version == 4 else 1
    ips = attribute(_IP_SOURCES[version], path.source.packed) + attribute(_IP_DESTINATIONS[version], path.target.packed)
    protocol = attribute(_PROTO_NUMBER, bytes([path.protocol]))
    protocol += attribute(_PROTO_SOURCE_PORT, struct.pack(">H", path.source_port))
    protocol += attribute(_PROTO_DESTINATION_PORT, struct.pack(">H", path.target_port))
    return attribute(NESTED | kind, attribute(NESTED | _TUPLE_IP, ips) + attribute(NESTED | _TUPLE_PROTO, protocol))
