"""Asks the segment again and again who has an address; prints the MAC addresses that answered each time, as JSON.

Usage: arp_answers.py INTERFACE ADDRESS TIMES [FILE]. It asks twice a second, and ends when the file is made.
"""

import json
import socket
import sys
import time
from pathlib import Path


def ask(raw: socket.socket, address: bytes, seconds: float) -> list[str]:
    own = raw.getsockname()[4]
    # Ethernet and IPv4, a request, from nobody's address: the probe of RFC 5227.
    request = bytes.fromhex("08060001080006040001") + own + bytes(4) + bytes(6) + address
    raw.send(b"\xff" * 6 + own + request)
    answers = set()
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        raw.settimeout(left)
        try:
            frame = raw.recv(100)
        except TimeoutError:
            break
        if frame[20:22] == b"\x00\x02" and frame[28:32] == address:
            answers.add(frame[22:28].hex(":"))
    return sorted(answers)


def main(interface: str, address: str, times: str, file: str = "") -> None:
    answers: list[list[str]] = []
    # An earlier run may have left it.
    if file:
        Path(file).unlink(missing_ok=True)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806)) as raw:
        raw.bind((interface, 0x0806))
        while len(answers) < int(times) and not (file and Path(file).exists()):
            answers.append(ask(raw, socket.inet_aton(address), 0.5))
    json.dump(answers, sys.stdout)


main(*sys.argv[1:])
