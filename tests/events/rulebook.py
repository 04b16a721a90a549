# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real ansible-rulebook with a rulebook of the collection, what it prints and what it runs."""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from egress_support import process

HERE = Path(__file__).parent
RULEBOOKS = HERE.parents[1] / "extensions/eda/rulebooks"
NAME = "ansible-rulebook"


@dataclass(frozen=True)
class Action:
    """What a playbook has recorded. Times are in seconds since the epoch."""

    event: dict[str, Any]
    at: float


class Rulebook:
    """A process in a folder of its own, which it may be started in again. `inventory`: variables of the inventory's only host."""

    def __init__(
        self,
        folder: Path,
        rulebook: Path,
        variables: Mapping[str, Any],
        environment: Mapping[str, str],
        inventory: Mapping[str, Any] | None = None,
    ) -> None:
        self._folder, self._rulebook = folder, rulebook
        self._records = folder / "records"
        self._environment = {
            **environment,
            "EGRESS_EVENTS_DIRECTORY": str(self._records),
            # What it prints is read while it runs.
            "PYTHONUNBUFFERED": "1",
        }
        self._records.mkdir()
        variables_of_host = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            **(inventory or {}),
        }
        (folder / "inventory.yml").write_text(json.dumps({"all": {"hosts": {"localhost": variables_of_host}}}))
        (folder / "variables.json").write_text(json.dumps({"router_playbook": str(HERE / "record.yml"), **variables}))

    def start(self) -> None:
        command = [os.environ["EGRESS_RULEBOOK"], "--rulebook", str(self._rulebook), "--inventory", "inventory.yml",
                   "--vars", "variables.json", "--print-events"]  # fmt: skip
        process.start(self._folder, NAME, command, dict(self._environment))

    def stop(self) -> None:
        process.stop_all(self._folder)

    @property
    def alive(self) -> bool:
        return process.alive(self._folder, NAME)

    @property
    def output(self) -> str:
        return (self._folder / f"{NAME}.log").read_text(errors="replace")

    def events(self) -> list[dict[str, Any]]:
        """What has come from the source, in order."""
        found = re.findall(
            r"\[received event\] \*+\nRuleset: [^\n]*\nEvent:\n(\{.*?\})\n\*{80}\n", self.output, re.DOTALL
        )
        return [ast.literal_eval(text) for text in found]

    def told(self, router: str = "") -> list[str]:
        """The kinds of events of one router, or of the API server, in order."""
        return [event["kind"] for event in self.events() if event["router"] == router]

    def actions(self) -> list[Action]:
        """What playbooks have recorded, in order."""
        texts = [path.read_text() for path in sorted(self._records.glob("*.json"))]
        return [Action(**json.loads(text)) for text in texts]
