"""neutron up|down|env [NAME] [--database sqlite|mariadb]"""

from __future__ import annotations

import argparse
import sys

from . import keystone, stack
from .lock import exclusive
from .process import NeutronError
from .settings import CACHE, INSTANCES


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/neutron/neutron", description="Keystone and Neutron on loopback.")
    parser.add_argument("command", choices=["up", "down", "env"], help="env prints what a shell is to evaluate")
    parser.add_argument("name", nargs="?", default="molecule", choices=list(INSTANCES), help="default: molecule")
    parser.add_argument("--database", choices=["sqlite", "mariadb"], default="sqlite", help="of the default instance")
    arguments = parser.parse_args()
    name = arguments.name
    if name == "molecule" and arguments.database == "mariadb":
        name = "molecule-mariadb"
    instance = INSTANCES[name]
    if arguments.command == "env":
        print(f"export OS_CLIENT_CONFIG_FILE='{keystone.clouds_file(instance)}'")
        return
    with exclusive(CACHE / f"use-{instance.name}.lock"):
        (stack.up if arguments.command == "up" else stack.down)(instance)


try:
    main()
except NeutronError as error:
    sys.exit(f"error: {error}")
