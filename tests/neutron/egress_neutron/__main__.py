"""neutron up|down|env [NAME]; neutron plug|unplug traffic"""

from __future__ import annotations

import argparse
import sys

from egress_lab.shell import LabError
from egress_support.lock import exclusive
from egress_support.process import ServerError

from . import hypervisor, keystone, stack, traffic
from .settings import CACHE, INSTANCES

_COMMANDS = "env prints what a shell is to evaluate; (un)plug: the lab's workers get their eth1 from the network egress"


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/neutron/neutron", description="Keystone and Neutron on loopback.")
    parser.add_argument("command", choices=["up", "down", "env", "plug", "unplug"], help=_COMMANDS)
    parser.add_argument("name", nargs="?", default="api", choices=list(INSTANCES), help="default: api")
    arguments = parser.parse_args()
    instance = INSTANCES[arguments.name]
    if arguments.command == "env":
        print(f"export OS_CLIENT_CONFIG_FILE='{keystone.clouds_file(instance)}'")
        return
    with exclusive(CACHE / f"use-{instance.name}.lock"):
        if arguments.command == "plug":
            hypervisor.plug_all(instance, "egress")
        elif arguments.command == "unplug":
            hypervisor.unplug_all()
        else:
            tier = traffic if instance.name == "traffic" else stack
            (tier.up if arguments.command == "up" else tier.down)(instance)


try:
    main()
except (ServerError, LabError) as error:
    sys.exit(f"error: {error}")
