"""Debian in the engine's storage, to build images on: the real one where a registry answers, else made by mmdebstrap."""

from __future__ import annotations

from . import debian
from .engine import Engine, pull
from .settings import BASE_IMAGE, BASE_SUITE, ROUTER_CONTAINERFILE
from .shell import step


def ensure(engine: Engine) -> None:
    """`debian:bookworm-slim`, which the lab's own images are built on. A stand-in has the same name."""
    if not engine.exists("image", BASE_IMAGE) and not _pull(engine, BASE_IMAGE):
        _import(engine, BASE_SUITE, BASE_IMAGE)


def of_router(engine: Engine) -> str:
    """What to build the router's image on. A stand-in has a name of its own: the image says what it was built on."""
    text = ROUTER_CONTAINERFILE.read_text()
    reference, suite = debian.image_base(text), debian.image_suite(text)
    stand_in = f"localhost/egress-lab-debian:{suite}"
    for known in (reference, stand_in):
        if engine.exists("image", known):
            return known
    if _pull(engine, reference):
        return reference
    _import(engine, suite, stand_in)
    return stand_in


def _pull(engine: Engine, reference: str) -> bool:
    with step(f"asking the registry for {reference}", "seconds"):
        return pull(engine, reference)


def _import(engine: Engine, suite: str, name: str) -> None:
    archive = debian.archive(suite)
    with step(f"no registry answers: {name} is what mmdebstrap made", "5 seconds"):
        engine.run("import", "--change", 'CMD ["bash"]', str(archive), name)


def build_arguments(engine: Engine) -> list[str]:
    """What every build needs: the machine's own network, and no look at registries for local images."""
    return ["--network", "host"] + (["--pull=never"] if engine.name == "podman" else [])
