"""What there is to start, and where it is kept."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
_HOME_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
CACHE = Path(os.environ.get("EGRESS_CACHE") or _HOME_CACHE / "egress.router") / "neutron"

REGION = "RegionOne"
# Only ever valid on loopback, in databases that every start makes anew.
PASSWORD = "not-shown-anywhere-4711"


@dataclass(frozen=True)
class Release:
    """A release of Neutron, and of Keystone with it unless requests need no authentication (`noauth`)."""

    name: str
    packages: tuple[str, ...]
    noauth: bool = False

    @property
    def constraints(self) -> Path:
        return HERE / f"neutron-{self.name}-constraints.txt"

    @property
    def venv(self) -> Path:
        key = hashlib.sha256(self.constraints.read_bytes() + " ".join(self.packages).encode()).hexdigest()[:12]
        return CACHE / f"venv-{self.name}-{key}"


# 2024.1 has the Linux bridge agent, whose port security works on any kernel. setuptools: its pkg_resources is used.
# The constraints are that release's own, but for scrypt: 0.8.24 is the first that comes compiled.
OLD = Release("2024.1", ("neutron==24.2.2", "keystone==25.0.0", "pymysql", "setuptools<81"))
NEW = Release("2026.1", ("neutron==28.0.2", "pymysql"), noauth=True)


@dataclass(frozen=True)
class Instance:
    """Servers that run together. `port`: Keystone's, Neutron's is the next one."""

    name: str
    port: int
    release: Release = OLD
    # SQLite answers concurrent writers with 500 "database is locked".
    database: str = "mariadb"
    # Without agents nobody needs a message queue.
    transport_url: str = "fake:/"

    @property
    def state(self) -> Path:
        """Databases, configuration, logs and process ids of the running servers."""
        return CACHE / f"run-{self.name}"

    @property
    def identity_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v3"

    @property
    def network_url(self) -> str:
        return f"http://127.0.0.1:{self.port + 1}"


INSTANCES = {
    instance.name: instance
    for instance in (
        Instance("api", 15000),
        Instance("newest", 15020, release=NEW, database="sqlite"),
        # With an agent that enforces port security: see traffic.py.
        Instance("traffic", 15050, transport_url="rabbit://guest:guest@127.0.0.1:5672/"),
    )
}
