# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command `egress-router`: run (the agent), probe and observe (the two ends of an acceptance test)."""

from __future__ import annotations

import argparse
import importlib
import sys

# Each is a module with add_arguments(parser) and main(arguments). Only the one in use is imported: a probe has neither
# the agent's libraries to load nor the time.
COMMANDS = {
    "run": ("agent", "hold the router's address and redirect by the rules"),
    "probe": ("probe", "connect as a client does and print what happened as JSON"),
    "observe": ("observe", "be the far end and tell every client which source is seen"),
}


def main() -> int:
    """Run the command that the first argument names."""
    parser = argparse.ArgumentParser(prog="egress-router", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if name in sys.argv[1:2]:
            importlib.import_module(f".{module}", __package__).add_arguments(command)
    arguments = parser.parse_args()
    return int(importlib.import_module(f".{COMMANDS[arguments.command][0]}", __package__).main(arguments))


if __name__ == "__main__":
    sys.exit(main())
