# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The switch of the egress segment, which tells at which port the router's MAC address is."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from egress_lab import segment, settings

from ansible_collections.egress.router.tests.support import segment_ports
from ansible_collections.egress.router.tests.support.segment_ports import Change
from ansible_collections.egress.router.tests.support.waiting import until

from .nodes import SEGMENT, WORKERS, Nodes


class Switch:
    """What `record` prints. `frames`, `missed`: known at its end."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.changes: list[Change] = []
        self.frames = self.missed = 0
        self._process = process
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            found = json.loads(line)
            if "missed" in found:
                self.frames, self.missed = found["frames"], found["missed"]
            else:
                self.changes.append(Change(**found))

    def stop(self) -> None:
        """Wait for its last line."""
        self._process.terminate()
        self._thread.join(10)


@contextmanager
def recorded(nodes: Nodes, mac: str, address: str) -> Iterator[Switch]:
    """Both workers' ports are recorded, and the gateway asks for the address all the time."""
    here, workers = [sys.executable, "-m", segment_ports.__name__], [segment.port(node) for node in WORKERS]
    outside = [segment.MACS[settings.OUTSIDE], address, settings.GATEWAYS[0], settings.EGRESS_INTERFACE]
    asks = [*nodes.inside(settings.OUTSIDE), *here, "ask", *outside]
    records = [*nodes.inside(SEGMENT), *here, "record", mac, *workers]
    with (
        subprocess.Popen(asks) as asker,
        subprocess.Popen(records, stdout=subprocess.PIPE, text=True) as recorder,
    ):
        switch = Switch(recorder)
        try:
            until(lambda: switch.changes, f"a frame of {address}")
            yield switch
        finally:
            asker.terminate()
            switch.stop()
