"""The lab's subcommands."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time

from . import (
    baseimage,
    cluster,
    debian,
    engine,
    gobuild,
    hostnet,
    images,
    lock,
    nodeimage,
    nodes,
    openshift,
    outside,
    packages,
    segment,
)
from .settings import (
    BIN,
    CLUSTER,
    EGRESS_INTERFACE,
    GATEWAYS,
    KUBECONFIG,
    NODES,
    OUTSIDE,
    ROUTER_IMAGE,
    SEGMENT,
    WORKER_ADDRESSES,
    WORKERS,
)
from .shell import LabError, say


def up(_arguments: argparse.Namespace) -> None:
    begin = time.monotonic()
    packages.ensure(packages.COMMON)
    chosen = engine.choose()
    hostnet.prepare()

    def router_image() -> None:
        # build-image tries it again and says what is wrong.
        with contextlib.suppress(LabError):
            images.build_router(chosen)

    cluster.ensure(chosen, nodeimage.ensure(chosen, router_image))
    hostnet.ensure(chosen)
    openshift.down(chosen)
    nodes.ensure(chosen)
    _outside(chosen)
    if chosen.exists("image", ROUTER_IMAGE):
        images.load(chosen, ROUTER_IMAGE)
    cluster.wait_ready()
    say(f"lab: up after {time.monotonic() - begin:.1f} s; `tests/lab/lab env` prints how to reach it")


def down(_arguments: argparse.Namespace) -> None:
    chosen = engine.choose()
    openshift.forget()
    segment.remove()
    outside.remove(chosen)
    cluster.remove(chosen)
    hostnet.remove()
    say("lab: down; what was built is kept in the cache and in the engine's storage")


def status(_arguments: argparse.Namespace) -> None:
    chosen = engine.choose()
    running = chosen.running()
    for name in (*NODES, OUTSIDE):
        print(f"{name}: {'running' if name in running else 'not there'}")
    if all(name in running for name in NODES) and KUBECONFIG.exists():
        print(cluster.kubectl("get", "nodes", "-o", "wide", check=False).stdout, end="")


def env(_arguments: argparse.Namespace) -> None:
    chosen = engine.choose()
    values = {
        "KUBECONFIG": KUBECONFIG,
        "PATH": f"{BIN}:{os.environ.get('PATH', '')}",
        "EGRESS_LAB_CLUSTER": CLUSTER,
        "EGRESS_LAB_WORKERS": " ".join(WORKERS),
        "EGRESS_LAB_WORKER_ADDRESSES": " ".join(WORKER_ADDRESSES[worker][0].split("/")[0] for worker in WORKERS),
        "EGRESS_LAB_INTERFACE": EGRESS_INTERFACE,
        "EGRESS_LAB_GATEWAY": GATEWAYS[0],
        "EGRESS_LAB_GATEWAY_MAC": segment.MACS[OUTSIDE],
        "EGRESS_LAB_OUTSIDE": OUTSIDE,
        "EGRESS_LAB_SEGMENT": SEGMENT,
        "EGRESS_LAB_IMAGE": ROUTER_IMAGE,
        "EGRESS_LAB_ENGINE": chosen.name,
        **chosen.env,
    }
    for name, value in values.items():
        print(f"export {name}='{value}'")


def load_image(arguments: argparse.Namespace) -> None:
    chosen = engine.choose()
    images.load(chosen, arguments.image)
    _outside(chosen)


def outside_start(_arguments: argparse.Namespace) -> None:
    _outside(engine.choose())


def base_image(_arguments: argparse.Namespace) -> None:
    baseimage.ensure(engine.choose())


def image_root(_arguments: argparse.Namespace) -> None:
    print(debian.image_root())


def build_image(_arguments: argparse.Namespace) -> None:
    chosen = engine.choose()
    built = images.build_router(chosen)
    if all(node in chosen.running() for node in NODES):
        images.load(chosen, ROUTER_IMAGE)
        _outside(chosen)
    say(f"lab: {ROUTER_IMAGE} {'built' if built else 'is current'}")


def test_programs(_arguments: argparse.Namespace) -> None:
    print(gobuild.NETATTACH.test(), end="")


def like_openshift(arguments: argparse.Namespace) -> None:
    if arguments.action == "stop":
        openshift.stop()
    elif arguments.action == "down":
        openshift.down(engine.choose())
    else:
        chosen = engine.choose()
        _outside(chosen)
        openshift.up(chosen, arguments.delay)


def _outside(chosen: engine.Engine) -> None:
    outside.ensure(chosen)
    segment.ensure(chosen.running())


COMMANDS = {
    "up": (up, "make the lab, or what is missing of it; seconds when nothing is"),
    "down": (down, "remove everything that the lab made, but not the caches"),
    "status": (status, "what runs"),
    "env": (env, 'print shell variables: eval "$(tests/lab/lab env)"'),
    "base-image": (base_image, "provide debian:bookworm-slim to builds of the lab's own images"),
    "image-root": (image_root, "print a root file system with the packages of the router's image; made if need be"),
    "build-image": (build_image, "build the router's image if its inputs changed, and put it to use"),
    "load-image": (load_image, "load an archive or an image of the engine into the workers"),
    "test-programs": (test_programs, "run the tests of the programs that the lab has of its own"),
    "outside-start": (outside_start, "start or replace the outside server"),
    "openshift": (
        like_openshift,
        "give the lab that is up, or take from it, what OpenShift has for EgressRouter resources",
    ),
}
LOCKED = ("up", "down", "base-image", "build-image", "load-image", "outside-start", "openshift")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="lab", description="The kind cluster and egress segment that the tests run on."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (_unused, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if name == "load-image":
            command.add_argument("image", help="an archive's path or an image's name")
        if name == "openshift":
            command.add_argument("action", choices=("up", "stop", "down"), help="stop: the operator alone")
            command.add_argument(
                "--delay", type=float, default=0, help="seconds that the operator waits before it acts"
            )
    arguments = parser.parse_args()
    function = COMMANDS[arguments.command][0]
    try:
        if os.geteuid() != 0:
            raise LabError("The lab makes network namespaces and privileged containers: run it as root.")
        if arguments.command in LOCKED:
            with lock.exclusive():
                function(arguments)
        else:
            function(arguments)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0
