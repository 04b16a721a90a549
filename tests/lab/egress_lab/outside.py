"""The server outside: the egress segment's gateway, with documentation networks on its lo.

It runs `egress-router observe` once the router's image is there, and idles on the base image until then.
"""

from __future__ import annotations

from . import baseimage
from .engine import Engine
from .settings import BASE_IMAGE, OBSERVE_PORTS, OUTSIDE, ROUTER_IMAGE
from .shell import step

LABEL = "egress-lab.serves"


def ensure(engine: Engine) -> None:
    """Start it, or replace one that runs another image or other ports."""
    if engine.exists("image", ROUTER_IMAGE):
        image = ROUTER_IMAGE
        command = ["egress-router", "observe", *(argument for port in OBSERVE_PORTS for argument in ("--port", port))]
    else:
        baseimage.ensure(engine)
        image, command = BASE_IMAGE, ["sleep", "infinity"]
    identity = engine.output("image", "inspect", "--format", "{{.Id}}", image)
    serves = f"{identity} {' '.join(command)}"
    if OUTSIDE in engine.running() and engine.label("container", OUTSIDE, LABEL) == serves:
        return
    with step(f"starting the outside server: {' '.join(command)}"):
        remove(engine)
        engine.run(
            "run",
            "--detach",
            "--name",
            OUTSIDE,
            "--hostname",
            OUTSIDE,
            "--label",
            f"{LABEL}={serves}",
            "--network",
            "none",
            "--cap-add",
            "NET_ADMIN",
            "--cap-add",
            "NET_RAW",
            "--entrypoint",
            command[0],
            image,
            *command[1:],
        )


def remove(engine: Engine) -> None:
    if engine.exists("container", OUTSIDE):
        engine.run("kill", OUTSIDE, check=False)  # nothing there is worth a grace period
        engine.run("rm", "-f", OUTSIDE)
