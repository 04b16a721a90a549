"""Fill the connection tracking table of the network namespace it runs in to nine tenths, or wait until that has passed.

Usage: tracked.py fill|wait. The packets go to closed ports of the loopback network; the kernel forgets them after 30 s.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from itertools import product
from pathlib import Path


def read(what: str) -> int:
    return int(Path(f"/proc/sys/net/netfilter/nf_conntrack_{what}").read_text())


def fill() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number, (host, port) in enumerate(product(range(1, 255), range(20000, 65536))):
            if number % 1000 == 0 and read("count") > read("max") * 0.9:
                return
            with contextlib.suppress(ConnectionRefusedError):
                sender.sendto(b"", (f"127.9.0.{host}", port))
    sys.exit(f"only {read('count')} of {read('max')} connections are tracked")


def wait(seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while read("count") > read("max") * 0.1:
        if time.monotonic() > deadline:
            sys.exit(f"{read('count')} of {read('max')} connections are still tracked after {seconds:.0f} s")
        time.sleep(0.5)


{"fill": fill, "wait": wait}[sys.argv[1]]()
