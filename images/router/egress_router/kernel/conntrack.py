# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kernel's connection tracking: delete connections by mark, and read how full the table is."""

from __future__ import annotations

import socket
from collections.abc import Collection

from pyroute2.netlink.nfnetlink.nfctsocket import NFCTSocket

from . import sysctl
from .marks import BASE, MASK

# Each deletion by mark walks the whole kernel table. With more marks than this, first find out which of them are in use.
_FEW = 16


def cut(marks: Collection[int]) -> None:
    """Delete the connections with these marks: their next packet counts as new, and is refused."""
    if not marks:
        return
    with NFCTSocket(nfgen_family=socket.AF_UNSPEC) as conntrack:
        if len(marks) > _FEW:
            present = {entry.get_attr("CTA_MARK") for entry in conntrack.dump(mark=BASE, mark_mask=MASK)}
            marks = present.intersection(marks)
        for mark in marks:
            conntrack.flush(mark=mark, mark_mask=0xFFFFFFFF)


def usage() -> tuple[int | None, int | None]:
    """How many connections this network namespace tracks, and the limit; None without connection tracking."""
    count, limit = (sysctl.read(f"net.netfilter.nf_conntrack_{name}") for name in ("count", "max"))
    return (None if count is None else int(count)), (None if limit is None else int(limit))
