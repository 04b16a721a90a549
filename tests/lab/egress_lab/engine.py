"""The container engine: Docker when it can run a privileged container, else Podman. Their commands are the same here."""

from __future__ import annotations

import functools
import io
import os
import resource
import shutil
import subprocess
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

from . import packages
from .gobuild import PAUSE
from .settings import LAB_CACHE, NETWORK
from .shell import LabError, run

PROBE_IMAGE = "localhost/egress-lab-probe:1"


@dataclass(frozen=True)
class Engine:
    name: str
    env: dict[str, str] = field(default_factory=dict)

    def run(self, *args: str, **options) -> subprocess.CompletedProcess[str]:
        return run([self.name, *args], env=self.env, **options)

    def output(self, *args: str, **options) -> str:
        return self.run(*args, **options).stdout.strip()

    def exists(self, kind: str, name: str) -> bool:
        """Is there such an `image`, `container`, `network`?"""
        return self.run(kind, "inspect", name, check=False).returncode == 0

    def running(self) -> dict[str, int]:
        """Running containers: name to process id.

        Podman goes by what the container's monitor last wrote, and after the monitor was killed too, or the machine was
        restarted, that is "running" for ever: so the process must exist, and be in the container's control group.
        """
        names = self.output("ps", "--format", "{{.Names}}").split()
        if not names:
            return {}
        fields = "{{.Name}} {{.State.Pid}} {{.Id}}"
        found = (line.split() for line in self.output("inspect", "--format", fields, *names, check=False).splitlines())
        return {name.lstrip("/"): int(pid) for name, pid, identity in found if _is_of(pid, identity)}

    def label(self, kind: str, name: str, label: str) -> str:
        """A label's value; empty when the object or the label is missing."""
        done = self.run(kind, "inspect", "--format", f'{{{{index .Config.Labels "{label}"}}}}', name, check=False)
        return done.stdout.strip().replace("<no value>", "") if done.returncode == 0 else ""

    @property
    def kind_env(self) -> dict[str, str]:
        upper = self.name.upper()
        return {**self.env, "KIND_EXPERIMENTAL_PROVIDER": self.name, f"KIND_EXPERIMENTAL_{upper}_NETWORK": NETWORK}


@functools.cache
def choose() -> Engine:
    """EGRESS_LAB_ENGINE=docker or podman overrides the choice."""
    wanted = os.environ.get("EGRESS_LAB_ENGINE", "")
    if wanted not in ("", "docker", "podman"):
        raise LabError(f"EGRESS_LAB_ENGINE is {wanted!r}; it may be docker or podman.")
    if wanted != "podman" and shutil.which("docker"):
        docker = Engine("docker")
        reason = _refusal(docker)
        if not reason:
            return docker
        if wanted == "docker":
            raise LabError(f"EGRESS_LAB_ENGINE asks for Docker, but it cannot run a privileged container: {reason}")
    packages.ensure(packages.PODMAN)
    # A node mounts it; where there is none, an empty one does.
    Path("/lib/modules").mkdir(exist_ok=True)
    podman = Engine("podman", {"CONTAINERS_CONF": str(_podman_configuration())})
    reason = _refusal(podman)
    if reason:
        raise LabError(f"Podman cannot run a privileged container on this machine: {reason}")
    return podman


def _refusal(engine: Engine) -> str:
    """Why the engine cannot run the lab's nodes; empty when it can."""
    answer = engine.run("info", check=False, timeout=20)
    if answer.returncode:
        return answer.stderr.strip()
    if not engine.exists("image", PROBE_IMAGE):
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.add(PAUSE.build() / "pause", "pause")
        engine.run("import", "-", PROBE_IMAGE, stdin=archive.getvalue())
    done = engine.run(
        "run", "--rm", "--privileged", "--network", "none", PROBE_IMAGE, "/pause", "true", check=False, timeout=60
    )
    return done.stderr.strip() if done.returncode else ""


def _podman_configuration() -> Path:
    """Podman's defaults ask for higher limits than some machines allow, and crun refuses hybrid control groups."""
    files = min(1048576, _hard(resource.RLIMIT_NOFILE))
    # Podman lowers its own limit on processes before it starts the runtime: half of ours was seen to be too much.
    processes = min(1048576, _hard(resource.RLIMIT_NPROC)) // 4
    text = (
        "[containers]\n"
        f'default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]\n'
        "[engine]\n"
        'runtime = "runc"\n'
        'cgroup_manager = "cgroupfs"\n'
        'events_logger = "file"\n'
        "[network]\n"
        'network_backend = "netavark"\n'
    )
    path = LAB_CACHE / "containers.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return path


def _is_of(pid: str, container: str) -> bool:
    """Is the process alive, and the container's? Its number may be another's by now."""
    try:
        return container in Path(f"/proc/{pid}/cgroup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def _hard(limit: int) -> int:
    hard = resource.getrlimit(limit)[1]
    return 1048576 if hard == resource.RLIM_INFINITY else hard


def pull(engine: Engine, image: str) -> bool:
    """Pull the image if its registry answers; asking takes seconds at most, whatever the network does."""
    if engine.run("manifest", "inspect", image, check=False, timeout=15).returncode:
        return False
    return engine.run("pull", "-q", image, check=False, timeout=600).returncode == 0
