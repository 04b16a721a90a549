"""Connects every 10 ms, and prints for how long no connection got an answer: HOST PORT FILE. It ends when the file is made."""

import json
import socket
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

HOST, PORT, FILE = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
# In case that nobody makes it.
SECONDS = 240
address = socket.gethostbyname(HOST)
seen: list[tuple[float, str]] = []


def connect(began: float) -> None:
    try:
        with socket.create_connection((address, PORT), timeout=1) as connection:
            answer = json.loads(connection.makefile("rb").readline())
    except (OSError, ValueError):
        answer = {}
    seen.append((began, answer.get("source_mac", "")))


# An earlier run may have left it.
FILE.unlink(missing_ok=True)
end = time.monotonic() + SECONDS
threads = []
while time.monotonic() < end and not FILE.exists():
    threads.append(threading.Thread(target=connect, args=(time.monotonic(),)))
    threads[-1].start()
    time.sleep(0.01)
for thread in threads:
    thread.join()
good = sorted(began for began, mac in seen if mac)
outage = max((later - earlier for earlier, later in pairwise(good)), default=SECONDS)
macs = list(dict.fromkeys(mac for _began, mac in sorted(seen) if mac))
sys.stdout.write(
    json.dumps({"connections": len(seen), "answered": len(good), "outage_seconds": round(outage, 2), "macs": macs})
    + "\n"
)
