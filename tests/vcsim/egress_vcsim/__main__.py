"""vcsim up|down|env [NAME] [--hosts N]"""

from __future__ import annotations

import argparse
import sys

from egress_lab.shell import LabError
from egress_neutron.process import NeutronError

from . import server
from .server import Instance


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/vcsim/vcsim", description="A simulated vCenter on loopback.")
    parser.add_argument("command", choices=["up", "down", "env"], help="env prints what a shell is to evaluate")
    parser.add_argument("name", nargs="?", default="hands", help="one of several that run beside each other")
    parser.add_argument("--hosts", type=int, default=3, help="hosts of the cluster (default: 3)")
    arguments = parser.parse_args()
    instance = Instance(arguments.name, arguments.hosts)
    if arguments.command == "env":
        for name, value in server.environment(instance).items():
            print(f"export {name}='{value}'")
    else:
        (server.up if arguments.command == "up" else server.down)(instance)


try:
    main()
except (NeutronError, LabError) as error:
    sys.exit(f"error: {error}")
