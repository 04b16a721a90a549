"""The image of kind's nodes: `kindest/node` where a registry answers, else the lab's own, built once and kept."""

from __future__ import annotations

import hashlib
import inspect
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import baseimage, gobuild
from .engine import Engine, pull
from .settings import COREDNS_TAG, ETCD_TAG, HERE, KUBERNETES_VERSION, LAB_CACHE, NODE_IMAGE, PAUSE_TAG
from .shell import step

REGISTRY = "registry.k8s.io"
KINDEST = f"docker.io/kindest/node:{KUBERNETES_VERSION}"
FOLDER = HERE / "nodeimage"
PARTS = (gobuild.KUBERNETES, gobuild.PAUSE, gobuild.KIND)
KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler")


def ensure(engine: Engine, beside: Callable[[], object]) -> str:
    """The reference of an image that is in the engine's storage. `beside` is called while Go compiles, if it has to."""
    image = f"{NODE_IMAGE}:{_key()}"
    if engine.exists("image", image):
        return image
    if engine.exists("image", KINDEST):
        return KINDEST
    with step(f"asking the registry for {KINDEST}", "seconds, minutes if it has it"):
        if pull(engine, KINDEST):
            return KINDEST

    def prepare() -> None:
        baseimage.ensure(engine)
        _install_packages(engine)
        beside()

    # This waits for the network and the disk, minutes in all, while the compiler has the cores.
    with ThreadPoolExecutor(1) as pool:
        prepared = pool.submit(prepare)
        programs = {part.name: part.build() for part in PARTS}
        prepared.result()
    with tempfile.TemporaryDirectory(dir=LAB_CACHE) as scratch:
        context = Path(scratch)
        with step("building the images that kubeadm asks for", "40 seconds"):
            _cluster_images(engine, context, programs)
        with step("building the node image", "90 seconds"):
            _build(engine, context, programs, image)
    _forget_older(engine, image)
    return image


def _key() -> str:
    digest = hashlib.sha256(f"{ETCD_TAG} {COREDNS_TAG} {PAUSE_TAG}".encode())
    for part in PARTS:
        digest.update(part.key().encode())
    for path in sorted(FOLDER.iterdir()):
        digest.update(path.read_bytes())
    # Of this file only what decides about the image: a new image means a new cluster.
    digest.update((inspect.getsource(_cluster_images) + inspect.getsource(_build)).encode())
    return digest.hexdigest()[:16]


def _install_packages(engine: Engine) -> None:
    """Builds the first layers of the node image, which need no program of ours: `_build` finds them in the cache."""
    first, _copy, _rest = (FOLDER / "Containerfile").read_text().partition("\nCOPY ")
    with step("installing the node image's packages", "60 seconds"), tempfile.TemporaryDirectory() as empty:
        arguments = baseimage.build_arguments(engine)
        for name, value in (("KUBERNETES_VERSION", KUBERNETES_VERSION), ("PAUSE_TAG", PAUSE_TAG)):
            arguments += ["--build-arg", f"{name}={value}"]
        (Path(empty) / "Containerfile").write_text(first + "\n")
        engine.run("build", "-q", *arguments, empty)


def _cluster_images(engine: Engine, context: Path, programs: dict[str, Path]) -> None:
    """Writes images.tar: every image under the name that kubeadm gives it."""
    binaries = context / "programs"
    binaries.mkdir()
    for source in (programs["kubernetes"], programs["pause"]):
        for program in source.iterdir():
            # Go names a program after the last part of its path that is no version.
            _link(program, binaries / ("etcd" if program.name == "server" else program.name))

    references = []

    def build(containerfile: str, *images: str) -> None:
        tags = [f"{REGISTRY}/{image}" for image in images]
        arguments = [*baseimage.build_arguments(engine), "-f", str(FOLDER / containerfile)]
        engine.run("build", "-q", *arguments, *(f"--tag={tag}" for tag in tags), str(binaries))
        references.extend(tags)

    build("kubernetes.Containerfile", *(f"{program}:{KUBERNETES_VERSION}" for program in KUBERNETES))
    build("etcd.Containerfile", f"etcd:{ETCD_TAG}")
    build("coredns.Containerfile", f"coredns/coredns:{COREDNS_TAG}")
    build("pause.Containerfile", f"pause:{PAUSE_TAG}")
    many = ["--multi-image-archive"] if engine.name == "podman" else []
    engine.run("save", *many, "-o", str(context / "images.tar"), *references)
    engine.run("rmi", *references, check=False)
    shutil.rmtree(binaries)


def _build(engine: Engine, context: Path, programs: dict[str, Path], image: str) -> None:
    shutil.copytree(gobuild.KIND.source("sigs.k8s.io/kind") / "images" / "base" / "files", context / "kind")
    for path in (context / "kind").rglob("*"):
        path.chmod(path.stat().st_mode | 0o200)  # Go's module cache is read-only
    (context / "bin").mkdir()
    for program in ("kubernetes", "kubectl"):
        _link(programs["kubernetes"] / program, context / "bin" / program)
    for name in ("kubeadm", "kubelet"):
        (context / "bin" / name).symlink_to("kubernetes")
    shutil.copy(FOLDER / "adapt", context / "adapt")
    engine.run(
        "build",
        "-q",
        *baseimage.build_arguments(engine),
        "-f",
        str(FOLDER / "Containerfile"),
        "--build-arg",
        f"KUBERNETES_VERSION={KUBERNETES_VERSION}",
        "--build-arg",
        f"PAUSE_TAG={PAUSE_TAG}",
        "-t",
        image,
        str(context),
    )


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)


def _forget_older(engine: Engine, image: str) -> None:
    for other in engine.output("images", "--format", "{{.Repository}}:{{.Tag}}").splitlines():
        if other.startswith(f"{NODE_IMAGE}:") and other != image:
            engine.run("rmi", other, check=False)
