"""Connects again and again; prints for how many seconds at most nobody answered, as JSON.

Usage: outage.py HOST PORT SECONDS FILE. It ends when the file is made. A server that answers is one that sends something.
"""

import json
import socket
import sys
import time
from pathlib import Path


def answered(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=0.5) as connection:
            return bool(connection.recv(1))
    except OSError:
        return False


def main(host: str, port: str, seconds: str, file: str) -> None:
    # An earlier run may have left it.
    Path(file).unlink(missing_ok=True)
    begin = last = time.monotonic()
    longest, count = 0.0, 0
    while time.monotonic() - begin < float(seconds) and not Path(file).exists():
        if answered(host, int(port)):
            longest, last, count = max(longest, time.monotonic() - last), time.monotonic(), count + 1
        time.sleep(0.05)
    json.dump({"longest": max(longest, time.monotonic() - last), "answered": count}, sys.stdout)


main(*sys.argv[1:])
