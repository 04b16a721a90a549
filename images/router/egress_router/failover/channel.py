# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Messages between the pods of a router over UDP on the cluster network: the one file here that has a socket."""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from ..net import IP
from . import beats, proofs
from .proofs import Stranger
from .protocol import Message

# Why a datagram was refused, for the metric.
REFUSED = ("stranger", "replayed")
# At a time: whoever sends more than that shall not keep this pod from sending.
MANY = 50
# No datagram is longer: the smallest packet that IPv6 has to carry whole, without its headers.
MAX_BYTES = 1280 - 40 - 8


class Channel:
    """Sends and receives; for one thread but for tell(). `keys` is asked for each datagram, because they may change while the agent runs.

    `refused` counts what was dropped, by its reason. `addresses`: from where each pod sent its last message.
    `told`: called with the text of each datagram that is proved and no message of the protocol; returns whether it is new.
    """

    def __init__(self, address: IP, port: int, router: str, pod: str, keys: Callable[[], Sequence[bytes]]) -> None:
        self._router = router
        self._pod = pod
        self._keys = keys
        self._port = port
        self._last: dict[str, int] = {}
        self.refused: Counter[str] = Counter(dict.fromkeys(REFUSED, 0))
        self.addresses: dict[str, str] = {}
        self.told: Callable[[bytes], bool] = lambda text: True
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind((str(address), port))

    def fileno(self) -> int:
        """For select()."""
        return self._socket.fileno()

    def close(self) -> None:
        """Send and receive no more."""
        self._socket.close()

    def send(self, to: str, message: Message) -> None:
        """Send a message to an address. One that cannot be sent is lost, as it may be on its way; so is one without a key."""
        keys = self._keys()
        if not keys:
            return
        with contextlib.suppress(OSError):
            self._socket.sendto(beats.seal(message, self._router, keys), (to, self._port))

    def tell(self, to: str, text: bytes) -> None:
        """Send another text, which begins with its format, to an address; as send(), for any thread."""
        keys = self._keys()
        if keys:
            with contextlib.suppress(OSError):
                proved = proofs.prove(text[:1] + bytes([len(keys)]) + text[1:], self._router, keys)
                self._socket.sendto(proved, (to, self._port))

    def received(self) -> Iterator[Message]:
        """Messages that have arrived, if a pod of this router sent them, and for the first time. Perhaps not all: select() knows."""
        # BlockingIOError at the end.
        with contextlib.suppress(OSError):
            for _number in range(MANY):
                datagram, sender = self._socket.recvfrom(MAX_BYTES + 1)
                try:
                    if datagram[:1] != bytes([beats.FORMAT]):
                        text = proofs.proved(datagram, self._router, self._keys())
                        self.refused["replayed"] += not self.told(text[:1] + text[2:])
                        continue
                    message = beats.unseal(datagram, self._router, self._keys())
                except Stranger:
                    self.refused["stranger"] += 1
                    continue
                # What this pod said itself may come back to it: from somebody who recorded it.
                if message.sender == self._pod or message.counter <= self._last.get(message.sender, -1):
                    self.refused["replayed"] += 1
                    continue
                self._last[message.sender] = message.counter
                self.addresses[message.sender] = sender[0]
                yield message
                # Nearly always the only one, and asking costs as much as receiving it did.
                return
