"""The servers' databases: SQLite, or a MariaDB of the tests' own with neither network nor users."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from pathlib import Path

from egress_lab import packages
from egress_support import process

from .settings import Instance

NAMES = ("keystone", "neutron")
_PACKAGES = {
    "mariadbd": "mariadb-server-core",
    "mariadb-install-db": "mariadb-server-core",
    "mariadb": "mariadb-client-core",
}


class Sqlite:
    """One file for each server."""

    def __init__(self, state: Path) -> None:
        self._state = state

    def url(self, name: str) -> str:
        return f"sqlite:///{self._state}/{name}.sqlite"

    def start(self) -> None:
        for name in NAMES:
            # Without write-ahead logging Keystone answered 500 "database is locked" to its first POST.
            with sqlite3.connect(self._state / f"{name}.sqlite") as connection:
                connection.execute("PRAGMA journal_mode=WAL")
            connection.close()

    def replace_in_catalogue(self, old: str, new: str) -> None:
        raise NotImplementedError("SQLite is for releases without Keystone")


class MariaDb:
    """One server for both, reached by a socket. Debian's mariadb-server-core has it."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._socket = state / "mariadb.sock"

    def url(self, name: str) -> str:
        return f"mysql+pymysql://root@localhost/{name}?unix_socket={self._socket}&charset=utf8mb4"

    def start(self) -> None:
        install()
        data = self._state / "mariadb"
        # A small log: the whole directory is kept as a template and copied.
        options = [f"--datadir={data}", "--innodb-log-file-size=16M", "--user=root"]
        fresh = not data.exists()
        if fresh:
            process.run(["mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal", *options])
        options += [f"--socket={self._socket}", "--skip-networking", "--skip-log-bin"]
        # Tests need no disk that survives a crash.
        options += ["--innodb-flush-log-at-trx-commit=0", f"--pid-file={self._state}/mariadbd.pid-file"]
        process.start(self._state, "mariadb", [str(_server()), "--no-defaults", *options], {})
        process.wait_for("MariaDB", self._state, "mariadb", lambda: self._answers("SELECT 1"))
        if fresh:
            for name in NAMES:
                self._answers(f"CREATE DATABASE {name} CHARACTER SET utf8mb3")

    def replace_in_catalogue(self, old: str, new: str) -> None:
        """In the URLs of Keystone's endpoints."""
        statement = f"UPDATE keystone.endpoint SET url = REPLACE(url, '{old}', '{new}')"
        if old != new and not self._answers(statement):
            raise process.ServerError(f"MariaDB refuses: {statement}")

    def _answers(self, statement: str) -> bool:
        command = ["mariadb", "--no-defaults", f"--socket={self._socket}", "--user=root", f"--execute={statement}"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def of(instance: Instance) -> Sqlite | MariaDb:
    return MariaDb(instance.state) if instance.database == "mariadb" else Sqlite(instance.state)


def install() -> None:
    """Debian's packages, if they are not there. They start no service."""
    packages.ensure(_PACKAGES)


def _server() -> Path:
    # Not on the PATH of everybody.
    return Path(shutil.which("mariadbd") or "/usr/sbin/mariadbd")
