"""The simulator's process: built when its sources changed, started on free ports, found again and stopped."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from egress_lab import gobuild
from egress_support import process
from egress_support.lock import exclusive

HERE = Path(__file__).resolve().parents[1]
_HOME_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
CACHE = Path(os.environ.get("EGRESS_CACHE") or _HOME_CACHE / "egress.router") / "vcsim"

USER = "administrator@vsphere.local"
# May look at everything and change nothing. Other names can log in too, and may do what they are permitted.
READ_ONLY = "readonly@vsphere.local"
# Only ever valid on loopback, for every name.
PASSWORD = "not-shown-anywhere-4712"


class _Simulator(gobuild.Module):
    @property
    def folder(self) -> Path:
        return HERE / "simulator"


_SIMULATOR = _Simulator("vcsim", (".",), "1 minute")


@dataclass(frozen=True)
class Instance:
    """A vCenter of its own. `hosts`: how many its cluster has."""

    name: str
    hosts: int = 3

    @property
    def state(self) -> Path:
        """Log, process id, certificate and ports of the running simulator."""
        return CACHE / f"run-{self.name}"

    @property
    def port(self) -> int:
        return int(self._ports()["port"])

    @property
    def control_url(self) -> str:
        return f"http://127.0.0.1:{self._ports()['control']}"

    @property
    def certificate(self) -> Path:
        return self.state / "certificate.pem"

    def _ports(self) -> dict[str, int]:
        try:
            ports: dict[str, int] = json.loads((self.state / "server.json").read_text())
        except FileNotFoundError:
            message = f"the vCenter {self.name} is not running; start it with: tests/vcsim/vcsim up {self.name}"
            raise process.ServerError(message) from None
        return ports


@contextmanager
def running(instance: Instance) -> Iterator[Instance]:
    """The instance while the block runs, for one process of the machine at a time."""
    with exclusive(CACHE / f"use-{instance.name}.lock"):
        try:
            yield up(instance)
        finally:
            down(instance)


def up(instance: Instance) -> Instance:
    """Starts a vCenter with a new inventory. What is left of an earlier run is stopped."""
    program = _SIMULATOR.build() / "vcsim"
    began = time.monotonic()
    down(instance)
    (instance.state / "tmp").mkdir(parents=True)
    command = [str(program), f"-state={instance.state}", f"-user={USER}", f"-password={PASSWORD}"]
    try:
        # The simulator keeps its datastores in temporary directories: in ours, where a killed one's go too.
        environment = {"TMPDIR": str(instance.state / "tmp")}
        process.start(instance.state, "vcsim", [*command, f"-hosts={instance.hosts}"], environment)
        answers = (instance.state / "server.json").exists
        process.wait_for("The simulated vCenter", instance.state, "vcsim", answers)
    except BaseException:
        process.stop_all(instance.state)
        raise
    process.say(f"vcsim: {instance.name} started in {time.monotonic() - began:.1f} s: 127.0.0.1:{instance.port}")
    return instance


def down(instance: Instance) -> None:
    """Stops the vCenter and forgets its inventory."""
    if instance.state.exists():
        process.stop_all(instance.state)
        shutil.rmtree(instance.state)


def environment(instance: Instance) -> dict[str, str]:
    """community.vmware's variables, and the addresses of what a real vCenter does not have."""
    return {
        "VMWARE_HOST": "127.0.0.1",
        "VMWARE_PORT": str(instance.port),
        "VMWARE_USER": USER,
        "VMWARE_PASSWORD": PASSWORD,
        "VMWARE_VALIDATE_CERTS": "false",
        "VCSIM_CONTROL": instance.control_url,
        "VCSIM_CERTIFICATE": str(instance.certificate),
    }
