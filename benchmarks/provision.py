# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""20 routers provisioned from nothing, and provisioned again: the role against a loop over the same objects.

Whole `ansible-playbook` runs are timed. The pods stay pending on both sides, because starting 20 pods on the lab's
two nodes takes the same time whoever asked for them.
"""

from __future__ import annotations

from lab import HERE, namespace, playbook, routers
from report import Figure, Ratio, publish

ROUTERS = 20
# The loop takes minutes; its single sample is far from any bound.
SAMPLES = {"deploy.yml": 3, "loop.yml": 1}


def main() -> None:
    """Measure, print, publish."""
    wanted = routers(ROUTERS, 3, node_selector={"egress.router/nowhere": "true"})
    first = {name: Figure(f"{name}: {ROUTERS} routers from nothing", "s") for name in SAMPLES}
    again = {name: Figure(f"{name}: the same again", "s") for name in SAMPLES}
    for name, count in SAMPLES.items():
        for _sample in range(count):
            with namespace():
                first[name].samples.append(playbook(str(HERE / "playbooks" / name), wanted))
                again[name].samples.append(playbook(str(HERE / "playbooks" / name), wanted))
    publish(
        f"Provisioning {ROUTERS} routers",
        [*first.values(), *again.values()],
        [
            Ratio.at_least("loop / role, from nothing", first["loop.yml"].median / first["deploy.yml"].median, 10),
            Ratio.at_least("loop / role, again", again["loop.yml"].median / again["deploy.yml"].median, 10),
        ],
    )


if __name__ == "__main__":
    main()
