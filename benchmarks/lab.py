# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the benchmarks on the lab's cluster share."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NAMESPACE = "egress-bench"
IMAGE = "localhost/egress-router:dev"
# The lab's stand-in for Multus.
PREFLIGHT = {"preflight_meta_plugins": ["netattach"]}


def routers(count: int, rules: int, **fields: Any) -> list[dict[str, Any]]:
    """`count` routers with `rules` rules each, as users write them. The addresses end in .100 and up, at most 150."""
    return [
        {
            "name": f"bench-{number:02}",
            "namespace": NAMESPACE,
            "addresses": [{"ip": f"198.51.100.{100 + number}/24", "gateway": "198.51.100.1"}],
            "master": "eth1",
            "redirect_rules": redirects(rules),
            **fields,
        }
        for number in range(count)
    ]


def redirects(count: int, destination: str = "203.0.113.10") -> list[dict[str, Any]]:
    """`count` TCP rules from port 10000 on."""
    return [{"port": 10000 + n, "protocol": "TCP", "destination_ip": destination} for n in range(count)]


def playbook(name: str, egress_routers: list[dict[str, Any]], **variables: Any) -> float:
    """Seconds that a playbook took as a whole process; its output on failure."""
    values = {"egress_routers": egress_routers, "egress_router_defaults": {"image": IMAGE}, **variables}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(values, file)
        file.flush()
        start = time.monotonic()
        command("ansible-playbook", "-i", "localhost,", "-e", f"@{file.name}", name)
        return time.monotonic() - start


def command(*words: str) -> str:
    """Standard output of a command; ends the benchmark with what it said if it fails."""
    done = subprocess.run(words, text=True, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def no_namespace() -> None:
    """Remove the benchmarks' namespace and wait until it is gone."""
    command("kubectl", "delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait", "--timeout=120s")


@contextmanager
def namespace() -> Iterator[None]:
    """A new namespace for the benchmark, removed afterwards."""
    no_namespace()
    command("kubectl", "create", "namespace", NAMESPACE)
    try:
        yield
    finally:
        no_namespace()
