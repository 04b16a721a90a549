# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kernel's connection tracking: cut connections by mark, and how full it is."""

from __future__ import annotations

import socket
from collections.abc import Collection
from pathlib import Path

from pyroute2.netlink.nfnetlink.nfctsocket import NFCTSocket

from .marks import BASE, MASK

# Deleting by mark walks the whole kernel table each time; with more marks than this, first see which of them are there.
_FEW = 16


def cut(marks: Collection[int]) -> None:
    """Forget the connections with these marks: their next packet counts as new, and its sender is refused."""
    if not marks:
        return
    with NFCTSocket(nfgen_family=socket.AF_UNSPEC) as conntrack:
        if len(marks) > _FEW:
            present = {entry.get_attr("CTA_MARK") for entry in conntrack.dump(mark=BASE, mark_mask=MASK)}
            marks = present.intersection(marks)
        for mark in marks:
            conntrack.flush(mark=mark, mark_mask=0xFFFFFFFF)


def usage() -> tuple[int, int]:
    """How many connections the pod's kernel tracks, and how many it could."""
    folder = Path("/proc/sys/net/netfilter")
    return int((folder / "nf_conntrack_count").read_text()), int((folder / "nf_conntrack_max").read_text())
