# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's nodes: networks that are cut, processes that are killed or frozen, and how all of that is mended."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from egress_lab import engine, segment, settings

CONTROL_PLANE = settings.CONTROL_PLANE
WORKERS = settings.WORKERS
SEGMENT = settings.SEGMENT
# A cut ends by itself, should nobody be left who mends it.
CUT_SECONDS = 300
# Of cgroup v1, as the lab's machine has it.
_CPU_GROUP = Path("/sys/fs/cgroup/cpu/cgroup.procs")
_TABLE = "egress_bench"
_CUT = f"""
table netdev {_TABLE} {{
  set cut {{ type iface_index; flags timeout; elements = {{ "DEVICE" timeout {CUT_SECONDS}s }} }}
  chain in {{ type filter hook ingress device "DEVICE" priority -500; meta iif @cut drop; }}
  chain out {{ type filter hook egress device "DEVICE" priority -500; meta oif @cut drop; }}
}}
"""
_MEND = f"add table netdev {_TABLE}\ndelete table netdev {_TABLE}\n"
# The agent of a pod, wherever its container is.
_AGENTS = 'for pid in $(pgrep -f "egress_router run"); do grep -qzx "POD_NAME=$1" /proc/$pid/environ && {}; done; true'


class Nodes:
    """Of the lab that is up."""

    def __init__(self) -> None:
        self._engine = engine.choose()
        self._pids = self._engine.running()

    def run(self, node: str, *command: str) -> str:
        """The output of a command on a node."""
        return str(self._engine.output("exec", node, *command))

    def root(self, node: str) -> str:
        """Where its files are on this machine."""
        return f"/proc/{self._pids[node]}/root"

    def inside(self, member: str) -> list[str]:
        """The words that run a command of this machine in the network of a node, of the server outside, or of the segment."""
        path = f"/run/netns/{SEGMENT}" if member == SEGMENT else f"/proc/{self._pids[member]}/ns/net"
        return ["nsenter", f"--net={path}"]

    def copy_image(self, image: str, copy: str) -> None:
        """Give a client's node the image that the workers have, and all of them a second name for it."""
        saved = subprocess.Popen([self._engine.name, "save", image], env=self._environment(), stdout=subprocess.PIPE)
        load = [self._engine.name, "exec", "-i", CONTROL_PLANE, "ctr", "-n", "k8s.io", "images", "import", "-"]
        subprocess.run(load, env=self._environment(), stdin=saved.stdout, stdout=subprocess.DEVNULL, check=True)
        if saved.wait():
            raise SystemExit(f"{image} cannot be saved")
        for node in WORKERS:
            self.run(node, "ctr", "-n", "k8s.io", "images", "tag", "--force", image, copy)

    def before_everything(self, words: str) -> None:
        """Whose command line has these words runs as soon as it has something to do: it measures, and has cores of its own elsewhere."""
        for pid in subprocess.run(["pgrep", "-f", words], capture_output=True, text=True, check=False).stdout.split():
            try:
                # The groups below allow no real time.
                _CPU_GROUP.write_text(pid)
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    os.sched_setscheduler(int(thread.name), os.SCHED_RR, os.sched_param(1))
            except OSError as error:
                print(f"{words} has to wait for the cores like everything else: {error}", file=sys.stderr)

    def signal_agent(self, node: str, pod: str, signal: str) -> None:
        """Send a signal to the agent of a pod."""
        self.run(node, "sh", "-c", _AGENTS.format("kill -$2 $pid"), "sh", pod, signal)

    def forget_connections(self, node: str, pod: str) -> None:
        """A pod's kernel knows none of its connections any more."""
        self.run(node, "sh", "-c", _AGENTS.format("nsenter -t $pid -n conntrack -F"), "sh", pod)

    def signal_api_server(self, signal: str) -> None:
        """Send a signal to the API server."""
        self.run(CONTROL_PLANE, "pkill", f"-{signal}", "-x", "kube-apiserver")

    @contextmanager
    def cut_off(self, node: str, *, segment_too: bool) -> Iterator[None]:
        """No frame reaches or leaves the node in the cluster's network, and in the egress segment. Its carriers stay.

        The segment's end is in the switch, so that what the node says there is seen all the same.
        """
        places = [(node, "eth0"), *([(SEGMENT, segment.port(node))] if segment_too else [])]
        try:
            for place, device in places:
                self._nft(place, _CUT.replace("DEVICE", device))
            yield
        finally:
            for place, _device in places:
                self._nft(place, _MEND)

    @contextmanager
    def uplink_down(self, node: str) -> Iterator[None]:
        """The node's switch port in the egress segment is down."""
        self._port(node, "down")
        try:
            yield
        finally:
            self._port(node, "up")

    def mend(self) -> None:
        """What a run that was killed may have left."""
        for place in (*WORKERS, SEGMENT):
            self._nft(place, _MEND)
        for node in WORKERS:
            self._port(node, "up")
            self.run(node, "sh", "-c", 'pkill -CONT -f "egress_router run"; true')
        self.run(CONTROL_PLANE, "sh", "-c", "pkill -CONT -x kube-apiserver; true")

    def _port(self, node: str, state: str) -> None:
        self._checked([*self.inside(SEGMENT), "ip", "link", "set", segment.port(node), state])

    def _nft(self, place: str, text: str) -> None:
        self._checked([*self.inside(place), "nft", "-f", "-"], text)

    def _checked(self, words: list[str], text: str = "") -> None:
        done = subprocess.run(words, input=text, text=True, capture_output=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(words)}: {done.stderr.strip()}")

    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self._engine.env}
