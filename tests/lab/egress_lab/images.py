"""Images into the cluster, and the router's own image."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from . import baseimage, cluster
from .engine import Engine
from .settings import LAB_CACHE, REPOSITORY, ROUTER_CONTAINERFILE, ROUTER_IMAGE, WORKERS
from .shell import LabError, step

LABEL = "egress-lab.inputs"
LOADED = "/kind/egress-lab-images"  # on each worker, beside the containerd that has them


def load(engine: Engine, name: str) -> None:
    """Load an archive, or an image of the engine's storage, into every worker."""
    if Path(name).is_file():
        with step(f"loading {name} into the workers", "5 seconds"):
            cluster.load(engine, name)
        return
    if not engine.exists("image", name):
        raise LabError(f"{name} is neither a file nor an image in {engine.name}'s storage.")
    identity = engine.output("image", "inspect", "--format", "{{.Id}}", name)
    # One file for each name, with what was loaded last: an image may come back that was there before another one.
    stamp = f"{LOADED}/{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    if all(engine.run("exec", node, "grep", "-qsx", identity, stamp, check=False).returncode == 0 for node in WORKERS):
        return
    with step(f"loading {name} into the workers", "10 seconds"), tempfile.TemporaryDirectory(dir=LAB_CACHE) as scratch:
        archive = str(Path(scratch) / "image.tar")
        engine.run("save", "-o", archive, name)
        cluster.load(engine, archive)
        for node in WORKERS:
            engine.run("exec", node, "sh", "-c", f"mkdir -p {LOADED} && echo {identity} >{stamp}")


def build_router(engine: Engine) -> bool:
    """Build the router's image when what goes into it has changed. True if it was built."""
    if not ROUTER_CONTAINERFILE.exists():
        raise LabError(f"There is no {ROUTER_CONTAINERFILE.relative_to(REPOSITORY)} to build {ROUTER_IMAGE} from.")
    inputs = _inputs()
    if engine.label("image", ROUTER_IMAGE, LABEL) == inputs:
        return False
    base = baseimage.of_router(engine)
    with step(f"building {ROUTER_IMAGE}", "60 seconds the first time, then a few"):
        engine.run(
            "build",
            "-q",
            *baseimage.build_arguments(engine),
            "--label",
            f"{LABEL}={inputs}",
            "--build-arg",
            f"BASE={base}",
            "-f",
            str(ROUTER_CONTAINERFILE),
            "-t",
            ROUTER_IMAGE,
            str(REPOSITORY),
        )
    return True


def _inputs() -> str:
    """A hash of the Containerfile's folder and of everything that it copies from the repository."""
    paths = [ROUTER_CONTAINERFILE.parent]
    for line in ROUTER_CONTAINERFILE.read_text().replace("\\\n", " ").splitlines():
        words = line.split()
        if words and words[0].upper() in ("COPY", "ADD") and not any(word.startswith("--from") for word in words):
            sources = [word for word in words[1:-1] if not word.startswith("--")]
            paths += [match for source in sources for match in REPOSITORY.glob(source.lstrip("./") or "*")]
    files = sorted(
        {
            file
            for path in paths
            for file in ([path] if path.is_file() else path.rglob("*"))
            if file.is_file() and "__pycache__" not in file.parts
        }
    )
    digest = hashlib.sha256()
    for file in files:
        digest.update(str(file.relative_to(REPOSITORY)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]
