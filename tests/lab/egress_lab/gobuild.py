"""Programs built from Go modules, kept in the cache under a hash of what defines them."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .lock import exclusive
from .settings import HERE, KUBERNETES_VERSION, LAB_CACHE
from .shell import LabError, run, step

# What takes time to make and is not needed: debugging tables, which `-s -w` leaves out anyway (a twentieth), and calls
# made inline (a fifth), but for Go's own packages, whose speed is noticed.
COMPILER = ("-gcflags=all=-dwarf=false -l", "-gcflags=std=-dwarf=false")


@dataclass(frozen=True)
class Module:
    """A folder under go/. `tool` builds what its go.mod names as tools, paths the folder's own programs.

    What modules share has the same versions in all of them, or it is compiled again for each.
    """

    name: str
    packages: Sequence[str]
    estimate: str
    ldflags: str = "-s -w"

    @property
    def folder(self) -> Path:
        return HERE / "go" / self.name

    def key(self) -> str:
        """Changes with the sources and flags; Go's version is left out, any that builds them will do."""
        digest = hashlib.sha256(f"{self.packages} {self.ldflags} {COMPILER}".encode())
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and not path.name.endswith("_test.go"):
                digest.update(str(path.relative_to(self.folder)).encode() + b"\0" + path.read_bytes())
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
        # Suites beside each other want the same programs.
        with exclusive(target.parent / f"{self.name}.lock"):
            return target if target.is_dir() else self._build(target)

    def _build(self, target: Path) -> Path:
        with (
            step(f"building {self.name} from Go modules", self.estimate),
            tempfile.TemporaryDirectory(dir=target.parent) as scratch,
        ):
            built = Path(scratch) / "bin"
            built.mkdir()
            self._go("build", "-ldflags", self.ldflags, "-o", f"{built}/", *self.packages)
            # The same in one step: a killed build leaves nothing that looks finished.
            built.rename(target)
        for old in target.parent.glob(f"{self.name}-*"):
            if old != target:
                shutil.rmtree(old, ignore_errors=True)
        return target

    def test(self) -> str:
        """Runs the tests in the folder, on what was compiled for its program."""
        return self._go("test", "./...")

    def _go(self, command: str, *arguments: str) -> str:
        # Less garbage collection in the compiler saves another twentieth, for memory.
        env = {"CGO_ENABLED": "0", "GOFLAGS": os.environ.get("GOFLAGS", ""), "GOGC": "400"}
        flags = ("-mod=readonly", "-trimpath", *COMPILER)
        return run(["go", command, *flags, *arguments], cwd=self.folder, env=env).stdout

    def source(self, module: str) -> Path:
        """Where Go keeps the source of one of the modules that this one requires."""
        run(["go", "mod", "download", module], cwd=self.folder)
        return Path(run(["go", "list", "-m", "-f", "{{.Dir}}", module], cwd=self.folder).stdout.strip())


_BASE = "k8s.io/component-base/version"
_MAJOR, _MINOR = KUBERNETES_VERSION.removeprefix("v").split(".")[:2]

# With CoreDNS and etcd, which share a third of their packages with it.
KUBERNETES = Module(
    "kubernetes",
    ("tool", "./coredns", "./kubernetes"),
    "6 minutes",
    f"-s -w -X {_BASE}.gitVersion={KUBERNETES_VERSION} -X {_BASE}.gitMajor={_MAJOR} -X {_BASE}.gitMinor={_MINOR}",
)
CNI_PLUGINS = Module("cniplugins", ("tool",), "15 seconds")
KIND = Module("kind", ("tool",), "15 seconds")
NETATTACH = Module("netattach", (".",), "20 seconds")
EGRESS_ROUTER = Module("egressrouter", (".",), "10 seconds")
# Of this one only files are used.
OPENSHIFT_API = Module("openshiftapi", (), "")
PAUSE = Module("pause", (".",), "2 seconds")
