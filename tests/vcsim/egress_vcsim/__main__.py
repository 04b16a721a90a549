"""vcsim up|down|env [NAME] [--hosts N], vcsim plug NODE=PROVIDER-ID ..., vcsim unplug"""

from __future__ import annotations

import argparse
import sys

from egress_lab.shell import LabError
from egress_support import nodes
from egress_support.process import ServerError

from . import server
from .server import Instance


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/vcsim/vcsim", description="A simulated vCenter on loopback.")
    commands = parser.add_subparsers(dest="command", required=True)
    for command, does in (
        ("up", "start one with a new inventory"),
        ("down", "stop it"),
        ("env", "print what a shell is to evaluate"),
    ):
        sub = commands.add_parser(command, help=does)
        sub.add_argument("name", nargs="?", default="hands", help="one of several that run beside each other")
        sub.add_argument("--hosts", type=int, default=3, help="hosts of the cluster (default: 3)")
    plug = commands.add_parser("plug", help="let the lab's nodes say which VM they are")
    plug.add_argument("nodes", nargs="+", metavar="NODE=PROVIDER-ID")
    commands.add_parser("unplug", help="let them say again what they said before")
    arguments = parser.parse_args()
    if arguments.command == "plug":
        for text in arguments.nodes:
            nodes.set_provider_id(*text.split("=", 1))
    elif arguments.command == "unplug":
        nodes.restore_provider_ids()
    else:
        instance = Instance(arguments.name, arguments.hosts)
        if arguments.command == "env":
            for name, value in server.environment(instance).items():
                print(f"export {name}='{value}'")
        else:
            (server.up if arguments.command == "up" else server.down)(instance)


try:
    main()
except (ServerError, LabError) as error:
    sys.exit(f"error: {error}")
