# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A changed rule, from the start of the task until the kernel's new rules are confirmed.

Compared with what the reference needs for the same: its pod is deleted, and a new one has to be ready. That side is
timed without any playbook around it.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from lab import HERE, NAMESPACE, command, namespace, playbook, redirects, routers
from report import Figure, Ratio, publish, rounds

# (routers, rules in each)
CASES = ((1, 10), (1, 1000), (1, 5000), (20, 10))
SAMPLES = rounds(5)


def change(wanted: list[dict[str, Any]], turn: int) -> float:
    """Seconds of a task that moves each router's first rule to another server."""
    rules = redirects(1, f"203.0.113.{11 + turn % 2}") + wanted[0]["redirect_rules"][1:]
    changed = [{"name": r["name"], "namespace": r["namespace"], "redirect_rules": rules} for r in wanted]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seconds"
        playbook(str(HERE / "playbooks" / "rules.yml"), changed, seconds_file=str(path))
        return float(path.read_text())


def replace_pods() -> float:
    """Seconds until new pods are ready in the place of deleted ones."""
    start = time.monotonic()
    command("kubectl", "-n", NAMESPACE, "delete", "pod", "--all", "--wait", "--timeout=120s")
    # The Deployment has made the next pod by then: it does so when the old one begins to terminate.
    command("kubectl", "-n", NAMESPACE, "wait", "pod", "--all", "--for=condition=Ready", "--timeout=180s")
    return time.monotonic() - start


def main() -> None:
    """Measure, print, publish."""
    figures, ratios = [], []
    for count, rules in CASES:
        title = f"{count} router{'s' if count > 1 else ''}, {rules} rules"
        ours, reference = Figure(f"{title}: task", "s"), Figure(f"{title}: new pods", "s")
        wanted = routers(count, rules, service={"headless": True})
        with namespace():
            playbook("egress.router.provision", wanted, deploy_wait_timeout=300)
            for turn in range(SAMPLES):
                ours.samples.append(change(wanted, turn))
                if turn < 3:
                    reference.samples.append(replace_pods())
        figures += [ours, reference]
        ratios.append(Ratio(f"new pods / task, {title}", reference.median / ours.median))
    publish("Changing rules", figures, ratios)


if __name__ == "__main__":
    main()
