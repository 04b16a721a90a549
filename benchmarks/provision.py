# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Provisioning: the role against a loop over the same objects, the cost of one more router, a run that changes nothing.

Whole `ansible-playbook` runs are timed. Except for the last, the pods stay pending, because starting pods on the lab's two
nodes takes the same time whoever asked for them.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
import time
from pathlib import Path

from ansible.utils.collection_loader import _collection_finder
from lab import HERE, IMAGE, NAMESPACE, PREFLIGHT, command, namespace, playbook, routers
from report import Figure, Ratio, publish, rounds

ROUTERS = 20
# The loop takes minutes; its single sample is far from any bound.
SAMPLES = {"deploy.yml": rounds(2), "loop.yml": 1}
NUMBERS = (1, 20, 100)
# Of provision, that read the list: preflight, two for the clouds, deploy, redirect_rules, each as plugin and as module.
TASKS = 10
PENDING = {"node_selector": {"egress.router/nowhere": "true"}}


def against_a_loop() -> None:
    """20 routers from nothing and again, role and loop."""
    wanted = routers(ROUTERS, 3, **PENDING)
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
            Ratio.at_least("loop / role, from nothing", first["loop.yml"].median / first["deploy.yml"].median, 20),
            Ratio.at_least("loop / role, again", again["loop.yml"].median / again["deploy.yml"].median, 25),
        ],
    )


def one_more_router() -> None:
    """Seconds and requests by the number of routers, and what one more costs."""
    figures = {}
    for count in NUMBERS:
        wanted = routers(count, 3, **PENDING)
        with namespace():
            for step in ("from nothing", "again"):
                seconds, requests = (
                    Figure(f"{count} routers {step}", "s"),
                    Figure(f"{count} routers {step}", "requests"),
                )
                with tempfile.TemporaryDirectory() as folder:
                    file = Path(folder) / "requests"
                    run = playbook(str(HERE / "playbooks/requests.yml"), wanted, figures_file=str(file))
                    requests.samples.append(int(file.read_text()))
                seconds.samples.append(run)
                figures[count, step] = (seconds, requests)
    low, high = NUMBERS[1], NUMBERS[2]
    ratios = []
    for step, bound in (("from nothing", 0.060), ("again", 0.025)):
        cost = (figures[high, step][0].median - figures[low, step][0].median) / (high - low)
        ratios.append(Ratio.at_most(f"seconds for one more router {step}", cost, bound))
    publish("The cost of one more router", [one for pair in figures.values() for one in pair], ratios)


def nothing_to_do() -> None:
    """The whole playbook provision for a router that serves already, and Ansible's own start beside it."""
    wanted = routers(1, 3)
    start, whole = Figure("ansible-playbook with one task that does nothing", "s"), Figure("provision, no change", "s")
    with namespace():
        playbook("egress.router.provision", wanted, **PREFLIGHT)
        for _sample in range(rounds(3)):
            start.samples.append(playbook(str(HERE / "playbooks/nothing.yml"), wanted))
            whole.samples.append(playbook("egress.router.provision", wanted, **PREFLIGHT))
        command("ansible-playbook", "-i", "localhost,", "-e", _absent(), "egress.router.deprovision")
    publish("A run that changes nothing", [start, whole], [Ratio.at_most("seconds of provision", whole.median, 4)])


def _absent() -> str:
    router = f"{{name: bench-00, namespace: {NAMESPACE}, state: absent}}"
    return f"{{egress_routers: [{router}], egress_router_defaults: {{image: {IMAGE}}}}}"


def long_lists() -> None:
    """Reading 20 routers with 500 rules each, as a run of the playbook provision does it: once from the list, then checked."""
    _collection_finder._AnsibleCollectionFinder(os.environ["ANSIBLE_COLLECTIONS_PATH"].split(os.pathsep))._install()
    of = "ansible_collections.egress.router.plugins.module_utils._router"
    reader, checked = importlib.import_module(f"{of}.routers"), importlib.import_module(f"{of}.checked")
    wanted = routers(20, 500)
    first, later = Figure("read and checked", "s"), Figure("taken over by a later task", "s")
    for _sample in range(rounds(5)):
        begin = time.monotonic()
        found, problems = reader.load(wanted, {"image": IMAGE})
        text = checked.dump(found)
        first.samples.append(time.monotonic() - begin)
        begin = time.monotonic()
        checked.load(text)
        later.samples.append(time.monotonic() - begin)
        assert not problems
    whole = first.median + TASKS * later.median
    publish(
        "20 routers with 500 rules each", [first, later], [Ratio.at_most("seconds in a run of provision", whole, 1)]
    )


def main() -> int:
    """All parts; 1 if a promise was not kept."""
    failed = 0
    for part in (long_lists, one_more_router, nothing_to_do, against_a_loop):
        try:
            part()
        except SystemExit as left:
            if left.code != 1:
                raise
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
