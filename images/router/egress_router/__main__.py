# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command `egress-router`."""

from __future__ import annotations

import argparse
import gc
import importlib
import signal
import sys

from ansible_collections.egress.router.plugins.module_utils._contract.version import VERSION

# Module of each command: only the one that is used is imported.
COMMANDS = {
    "run": ("run.composition", "run the agent of a router's pod"),
    "probe": ("proof.probe", "connect to servers and print as JSON what happened"),
    "watch": ("proof.watch", "connect all the time and print as JSON for how long nothing answered"),
    "observe": ("proof.observe", "answer connections with the source that was seen"),
    "inspect": ("inspect.command", "look at a node and its segment and print JSON"),
    "sbom": ("sbom", "list the packages of the image with their licences, as JSON"),
}


def main() -> int:
    """Run the command line; returns the exit status."""
    # Process 1 of a container has no default action for signals: one that arrives during the imports would be lost.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    commands = "".join(f"\n  {name:8} {text}" for name, (_module, text) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="egress-router",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"commands:{commands}\n\n`egress-router COMMAND --help` lists the options of a command.",
    )
    parser.add_argument("--version", action="version", version=VERSION)
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    command = parser.parse_args(sys.argv[1:2]).command
    # Imports leave next to no garbage; looking for it is a tenth of the start, and later that of what stays anyway.
    gc.disable()
    module = importlib.import_module(f"{__package__}.{COMMANDS[command][0]}")
    gc.freeze()
    gc.enable()
    status: int = module.main(sys.argv[2:])
    return status


if __name__ == "__main__":
    sys.exit(main())
