# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong with routers of the lab, each by a cause of its own, and what no playbook can mend of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from egress_lab import engine
from egress_lab.settings import WORKERS

from ansible_collections.egress.router.tests.automation.lab.cluster import Lab
from ansible_collections.egress.router.tests.support.waiting import until

# Of all routers but the one whose node is lost.
HERE, LOST = WORKERS


@dataclass(frozen=True)
class Fault:
    """Of a router that is called `router`. `kind`: the event that it leads to. `mend`: what is left to be
    done by hand, once the playbook runs."""

    router: str
    kind: str
    cause: Callable[[Lab], None]
    mend: Callable[[Lab], None] | None = None
    replicas: int = 1


def _edit(lab: Lab) -> None:
    lab.patch("configmap", "edited-rules", {"data": {"rules": "5432 TCP 203.0.113.66\n"}})


def _edit_wrongly(lab: Lab) -> None:
    lab.patch("configmap", "refused-rules", {"data": {"rules": "5432 TCP\n"}})


def _keep_from_starting(lab: Lab) -> None:
    """Its network is not defined any more. The next pod gets a node all the same."""
    lab.run("delete", "network-attachment-definitions", "cannot-start")
    lab.run("delete", "pod", lab.holder("cannot-start"), "--wait=false")
    until(
        lambda: any(pod["spec"].get("nodeName") for pod in lab.pods_of("cannot-start")), "its next pod has a node", 60
    )


def _take_standby(lab: Lab) -> None:
    """Its node is closed to new pods, as all are."""
    lab.run("cordon", *WORKERS)
    holder = lab.holder("alone")
    lab.run("delete", "pod", *(name for pod in lab.pods_of("alone") if (name := pod["metadata"]["name"]) != holder))


def _stop_kubelet(lab: Lab) -> None:
    engine.choose().run("exec", LOST, "systemctl", "stop", "kubelet")


def _start_kubelet(lab: Lab) -> None:
    engine.choose().run("exec", LOST, "systemctl", "start", "kubelet")


# In the order in which they begin, and about that in which they are told: a Lease is silent a minute after its end.
FAULTS = (
    Fault("edited", "rules_changed", _edit),
    Fault("refused", "rules_refused", _edit_wrongly),
    Fault("cannot-start", "not_serving", _keep_from_starting),
    Fault("alone", "no_successor", _take_standby, lambda lab: lab.run("uncordon", *WORKERS), replicas=2),
    Fault("node-lost", "node_not_ready", _stop_kubelet, _start_kubelet),
    # Its agent may not write the Lease any more.
    Fault("silent", "silent", lambda lab: lab.run("delete", "rolebinding", "silent")),
)
