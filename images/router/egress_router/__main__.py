# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command `egress-router`: run, probe, observe, inspect."""

from __future__ import annotations

import argparse
import os
import signal
import sys

from . import __version__, config, inspection, observe, probe


def main() -> int:
    """Run the command line; returns the exit status."""
    # As process 1 of a container there is no default action: a signal during the imports would be lost.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    parser = argparse.ArgumentParser(prog="egress-router", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="the agent of the router's pod; the environment says which router it is")
    probe.add_arguments(commands.add_parser("probe", help="a client: connects n times, prints JSON"))
    observe.add_arguments(commands.add_parser("observe", help="the far end: answers with the source that it saw"))
    inspection.add_arguments(commands.add_parser("inspect", help="looks at a node and its segment, prints JSON"))
    arguments = parser.parse_args()
    if arguments.command == "probe":
        return probe.run(arguments)
    if arguments.command == "observe":
        return observe.run(arguments)
    try:
        if arguments.command == "inspect":
            return inspection.run(arguments, os.environ)
        settings = config.load(os.environ)
    except config.ConfigError as error:
        parser.error(str(error))
    # Late: the Kubernetes client takes a second to import, and the probe and the observer do not need it.
    from .agent import run

    run(settings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
