# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Whether the nodes can attach pods to additional networks by a macvlan."""

from __future__ import annotations

from collections.abc import Iterator

from ..._router.manifests import network_plugins
from ..._router.router import Router
from ..facts import ANSWERS, ATTACHMENT_API, INSPECTION, NODES, PODS, Facts, Pod, name_of
from ..finding import ERROR, WARNING, Check, Finding, Part

# How the manifests of Multus, OpenShift, RKE2 and others label its pods.
_LABELS = (("app", "multus"), ("name", "multus"), ("app.kubernetes.io/name", "multus"), ("app", "rke2-multus"))
# The executables of Multus (thin and thick), DANM and CNI-Genie.
META_PLUGINS = ("multus", "multus-shim", "danm", "genie")


def _api(facts: Facts) -> Iterator[Finding]:
    if not facts.attachment_api:
        yield Finding(
            "attachment_api", ERROR, "the cluster does not serve NetworkAttachmentDefinitions",
            "the API k8s.cni.cncf.io/v1", "Install Multus, or another meta-plugin with this API",
        )  # fmt: skip


def _agents(facts: Facts) -> Iterator[Finding]:
    """If Multus is known by its pods, every node needs one."""
    if not any(map(_is_agent, facts.pods)):
        return
    for router, node in _without_sign(facts):
        yield Finding(
            "meta_plugin", ERROR, "no pod of Multus runs there, although one does on other nodes",
            "a meta-plugin on every node that can run it",
            "Let the DaemonSet of Multus run there (its node selector and tolerations), or exclude the node with node_selector",
            (router.id,), (node,),
        )  # fmt: skip


def _signs(facts: Facts) -> Iterator[Finding]:
    """If not, an inspected node may show no sign of any meta-plugin."""
    if any(map(_is_agent, facts.pods)):
        return
    for router, node in _without_sign(facts):
        inspection = facts.inspections.get(node)
        if inspection and inspection.answer:
            yield Finding(
                "meta_plugin", WARNING, "there is no sign of a meta-plugin", "one on every node that can run it",
                "Install Multus, or add the executable of your meta-plugin to preflight_meta_plugins", (router.id,), (node,),
            )  # fmt: skip


def _without_sign(facts: Facts) -> Iterator[tuple[Router, str]]:
    """Nodes without a pod of Multus, a pod with a network status, or the executable of a meta-plugin."""
    if not facts.attachment_api:
        return
    signs = _executables(facts) | {pod.node for pod in facts.pods if pod.has_network_status or _is_agent(pod)}
    for router in facts.routers:
        for node in facts.eligible(router):
            if name_of(node) not in signs:
                yield router, name_of(node)


def _directory(facts: Facts) -> Iterator[Finding]:
    for node, inspection in facts.inspections.items():
        if inspection.no_cni_directory:
            yield Finding(
                "cni_plugins", ERROR, "the directory of the CNI plugins does not exist", "/opt/cni/bin, or another one that is set",
                "Set preflight_cni_directory to the directory that the container runtime uses", (), (node,),
            )  # fmt: skip


def _plugins(facts: Facts) -> Iterator[Finding]:
    for router in facts.routers:
        for node, seen in facts.answers(router):
            if not seen.cni.plugins:
                continue
            needed = network_plugins(router)
            missing = [plugin for plugin in needed if plugin not in seen.cni.plugins]
            if missing:
                yield Finding(
                    "cni_plugins", ERROR, f"{seen.cni.directory} lacks {' and '.join(missing)}",
                    f"the CNI plugins of the router's network: {' and '.join(needed)}",
                    "Install the plugins of github.com/containernetworking/plugins there, or set preflight_cni_directory to the "
                    "directory that the container runtime uses", (router.id,), (node,),
                )  # fmt: skip


def _is_agent(pod: Pod) -> bool:
    return any(pod.labels.get(key) == value for key, value in _LABELS)


def _executables(facts: Facts) -> set[str]:
    known = {*META_PLUGINS, *facts.settings.meta_plugins}
    return {
        node
        for node, inspection in facts.inspections.items()
        if inspection.answer and known.intersection(inspection.answer.cni.plugins or ())
    }


CHECKS = (
    Check("attachment_api", "the cluster serves NetworkAttachmentDefinitions", (Part((ATTACHMENT_API,), _api),)),
    Check(
        "meta_plugin", "every node has a meta-plugin",
        (
            Part((NODES, PODS, ATTACHMENT_API), _agents),
            Part((NODES, PODS, ATTACHMENT_API, ANSWERS), _signs),
        ),
    ),
    Check("cni_plugins", "every node has the CNI plugins macvlan and, for IPv6, tuning", (Part((ANSWERS,), _plugins), Part((INSPECTION,), _directory))),
)  # fmt: skip
