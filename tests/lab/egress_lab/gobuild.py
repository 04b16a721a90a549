"""Programs built from Go modules, kept in the cache under a hash of what defines them."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .settings import HERE, KUBERNETES_VERSION, LAB_CACHE
from .shell import LabError, run, step


@dataclass(frozen=True)
class Module:
    """A folder under go/. `tool` builds what its go.mod names as tools, `.` the folder's own program."""

    name: str
    packages: str
    estimate: str
    ldflags: str = "-s -w"

    @property
    def folder(self) -> Path:
        return HERE / "go" / self.name

    def key(self) -> str:
        """Changes with the sources and flags; Go's version is left out, any that builds them will do."""
        digest = hashlib.sha256(f"{self.packages} {self.ldflags}".encode())
        for path in sorted(self.folder.iterdir()):
            if not path.name.endswith("_test.go"):
                digest.update(path.name.encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()[:16]

    def build(self) -> Path:
        """The folder with the built programs."""
        target = LAB_CACHE / "go" / f"{self.name}-{self.key()}"
        if target.is_dir():
            return target
        if not shutil.which("go"):
            raise LabError(
                "The lab builds programs from Go modules, but there is no `go` on the PATH: install Go 1.24 or newer."
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            step(f"building {self.name} from Go modules", self.estimate),
            tempfile.TemporaryDirectory(dir=target.parent) as scratch,
        ):
            built = Path(scratch) / "bin"
            built.mkdir()
            run(
                [
                    "go",
                    "build",
                    "-mod=readonly",
                    "-trimpath",
                    # `-s -w` leaves debugging tables out: not even making them saves a twentieth of the time.
                    "-gcflags=all=-dwarf=false",
                    "-ldflags",
                    self.ldflags,
                    "-o",
                    f"{built}/",
                    self.packages,
                ],
                cwd=self.folder,
                # Less garbage collection in the compiler saves as much again, for memory.
                env={"CGO_ENABLED": "0", "GOFLAGS": os.environ.get("GOFLAGS", ""), "GOGC": "400"},
            )
            # The same in one step: a killed build leaves nothing that looks finished.
            built.rename(target)
        for old in target.parent.glob(f"{self.name}-*"):
            if old != target:
                shutil.rmtree(old, ignore_errors=True)
        return target

    def source(self, module: str) -> Path:
        """Where Go keeps the source of one of the modules that this one requires."""
        run(["go", "mod", "download", module], cwd=self.folder)
        return Path(run(["go", "list", "-m", "-f", "{{.Dir}}", module], cwd=self.folder).stdout.strip())


_BASE = "k8s.io/component-base/version"
_MAJOR, _MINOR = KUBERNETES_VERSION.removeprefix("v").split(".")[:2]

KUBERNETES = Module(
    "kubernetes",
    "tool",
    "5 minutes",
    f"-s -w -X {_BASE}.gitVersion={KUBERNETES_VERSION} -X {_BASE}.gitMajor={_MAJOR} -X {_BASE}.gitMinor={_MINOR}",
)
ETCD = Module("etcd", "tool", "20 seconds")
COREDNS = Module("coredns", ".", "40 seconds")
CNI_PLUGINS = Module("cniplugins", "tool", "15 seconds")
KIND = Module("kind", "tool", "15 seconds")
NETATTACH = Module("netattach", ".", "40 seconds")
PAUSE = Module("pause", ".", "2 seconds")
