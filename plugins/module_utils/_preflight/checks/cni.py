# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Whether pods can be attached to further networks, by a macvlan, on the nodes."""

from __future__ import annotations

from collections.abc import Iterator

from ..._router.router import Router
from ..facts import ATTACHMENT_API, INSPECTION, NODES, PODS, Facts, Pod, name_of
from ..finding import ERROR, WARNING, Check, Finding, Part

# What view.network_config asks for.
PLUGINS = ("macvlan", "tuning")
# How Multus' own manifests, OpenShift, RKE2 and others label its pods.
_LABELS = (("app", "multus"), ("name", "multus"), ("app.kubernetes.io/name", "multus"), ("app", "rke2-multus"))
# The programs of Multus (thin and thick), DANM and CNI-Genie.
ATTACHMENT_PLUGINS = ("multus", "multus-shim", "danm", "genie")


def _api(facts: Facts) -> Iterator[Finding]:
    if not facts.attachment_api:
        yield Finding(
            "attachment_api", ERROR, "the cluster does not know NetworkAttachmentDefinitions",
            "the API k8s.cni.cncf.io/v1", "is Multus installed? Install it, or another implementation of that API",
        )  # fmt: skip


def _agents(facts: Facts) -> Iterator[Finding]:
    """Where Multus is known by its pods, every node needs one."""
    if not any(map(_is_agent, facts.pods)):
        return
    for router, node in _without_sign(facts):
        yield Finding(
            "attachment_plugin", ERROR, "no pod of Multus runs there, as on other nodes",
            "a network-attachment plugin on every node that may run it",
            "let Multus' DaemonSet run there (its node selector and tolerations), or leave the node out with node_selector",
            (router.id,), (node,),
        )  # fmt: skip


def _signs(facts: Facts) -> Iterator[Finding]:
    """Elsewhere nodes that were looked at may show no sign at all."""
    if any(map(_is_agent, facts.pods)):
        return
    for router, node in _without_sign(facts):
        inspection = facts.inspections.get(node)
        if inspection and inspection.facts:
            yield Finding(
                "attachment_plugin", WARNING, "there is no sign of a network-attachment plugin",
                "one on every node that may run it",
                "install Multus, or name your plugin's program in preflight_attachment_plugins", (router.id,), (node,),
            )  # fmt: skip


def _without_sign(facts: Facts) -> Iterator[tuple[Router, str]]:
    """Nodes with no pod of Multus, no pod that was given a network status, and no program of a plugin."""
    if not facts.attachment_api:
        return
    signs = _programs(facts) | {pod.node for pod in facts.pods if pod.has_network_status or _is_agent(pod)}
    for router in facts.routers:
        for node in facts.eligible(router):
            if name_of(node) not in signs:
                yield router, name_of(node)


def _directory(facts: Facts) -> Iterator[Finding]:
    for node, inspection in facts.inspections.items():
        if inspection.no_cni_directory:
            yield Finding(
                "cni_plugins", ERROR, "the directory of the CNI plugins is not there", "/opt/cni/bin, or another that is set",
                "name the directory that the container runtime uses in preflight_cni_directory", (), (node,),
            )  # fmt: skip


def _plugins(facts: Facts) -> Iterator[Finding]:
    for router in facts.routers:
        for node, seen in facts.node_facts(router):
            if not seen.plugins:
                continue
            missing = [plugin for plugin in PLUGINS if plugin not in seen.plugins]
            if missing:
                yield Finding(
                    "cni_plugins", ERROR, f"{seen.cni_directory} has no {' and no '.join(missing)}",
                    "the CNI plugins macvlan and tuning",
                    "install the plugins of github.com/containernetworking/plugins there, or name the directory that the "
                    "container runtime uses in preflight_cni_directory", (router.id,), (node,),
                )  # fmt: skip


def _is_agent(pod: Pod) -> bool:
    return any(pod.labels.get(key) == value for key, value in _LABELS)


def _programs(facts: Facts) -> set[str]:
    known = {*ATTACHMENT_PLUGINS, *facts.settings.attachment_plugins}
    return {
        node
        for node, inspection in facts.inspections.items()
        if inspection.facts and known.intersection(inspection.facts.plugins or ())
    }


CHECKS = (
    Check("attachment_api", "the cluster knows NetworkAttachmentDefinitions", (Part((ATTACHMENT_API,), _api),)),
    Check(
        "attachment_plugin", "every node has a network-attachment plugin",
        (
            Part((NODES, PODS, ATTACHMENT_API), _agents),
            Part((NODES, PODS, ATTACHMENT_API, INSPECTION), _signs),
        ),
    ),
    Check("cni_plugins", "every node has the plugins macvlan and tuning", (Part((INSPECTION,), _plugins), Part((INSPECTION,), _directory))),
)  # fmt: skip
