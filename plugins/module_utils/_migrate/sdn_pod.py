# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""From a pod of the former OpenShift SDN, which its images set up by environment variables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from .._contract.rules import IPNetwork
from .destinations import Destinations, http_rules, proxied, redirects
from .draft import Draft, add_address
from .environment import Variable, variables
from .objects import Objects, Workload
from .report import CHANGED, ERROR, LOST, QUESTION, UNCHANGED, Notes

ANNOTATION = "pod.network.openshift.io/assign-macvlan"
_FIELD = f"annotation {ANNOTATION}"
_REDIRECT_MODES = ("init", "legacy")
_DESTINATION = {"http-proxy": "EGRESS_HTTP_PROXY_DESTINATION", "dns-proxy": "EGRESS_DNS_PROXY_DESTINATION"}
_NETWORK = ("EGRESS_SOURCE", "EGRESS_GATEWAY", "EGRESS_DESTINATION", "EGRESS_ROUTER_MODE")
_ADDRESS = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+\Z")
_SOURCE = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+(/[0-9]+)?\Z")
# Kubernetes adds tolerations for these to every pod.
_STATE_TAINTS = "node.kubernetes.io/"


def has_macvlan(workload: Workload) -> bool:
    """Whether the SDN gives the pod an interface on the nodes' network."""
    return str(workload.annotations.get(ANNOTATION, "false")).lower() != "false"


def is_router(found: Mapping[str, Variable]) -> bool:
    """Whether these are the variables of an egress router."""
    return any(name in found for name in _NETWORK)


def read_sdn_pod(workload: Workload, objects: Objects, networks: Sequence[IPNetwork]) -> Draft:
    """The draft of a pod, or of what makes the pod."""
    found = variables(workload, objects)
    notes = Notes(workload.source)
    draft = Draft(notes, workload.source.name, workload.labels, macvlan_mode="private")
    draft.ports = {
        str(port["name"]): int(port["containerPort"])
        for container in workload.containers
        for port in container.get("ports") or ()
        if port.get("name") and port.get("containerPort")
    }
    _read_interface(draft, workload)
    _read_source(draft, found, networks)
    _read_destinations(draft, found)
    _read_placement(draft, workload)
    for variable in found.values():
        if variable.config_map and variable.text is not None:
            message = "the old pod keeps the text of the time when it started: the new router has that of now"
            notes.add(CHANGED, variable.title, message)
    return draft


def _read_interface(draft: Draft, workload: Workload) -> None:
    value = str(workload.annotations.get(ANNOTATION, ""))
    if not has_macvlan(workload):
        state = f"is '{value}'" if value else "is missing"
        message = f"{state}, so that the old pod had no interface on the egress network: now the router has one"
        draft.notes.add(CHANGED, _FIELD, message)
    elif value.lower() != "true":
        draft.master = value


def _read_source(draft: Draft, found: Mapping[str, Variable], networks: Sequence[IPNetwork]) -> None:
    source = _text(draft, found, "EGRESS_SOURCE", "set it to the egress address with the prefix length of its subnet")
    gateway = _text(draft, found, "EGRESS_GATEWAY", "set it to the next hop on the subnet of EGRESS_SOURCE")
    if source and not _SOURCE.match(source):
        where = found["EGRESS_SOURCE"].title
        draft.notes.add(
            ERROR, where, f"{_shown(source)} is not an IPv4 address with a prefix length: write it as 198.51.100.50/24"
        )
        source = ""
    if gateway and not _ADDRESS.match(gateway):
        draft.notes.add(
            ERROR, found["EGRESS_GATEWAY"].title, f"{_shown(gateway)} is not an IPv4 address: write it as 198.51.100.1"
        )
        gateway = ""
    if source:
        titles = [found[name].title if name in found else name for name in ("EGRESS_SOURCE", "EGRESS_GATEWAY")]
        add_address(draft, titles[0], source, gateway, networks, titles[1])


def _read_destinations(draft: Draft, found: Mapping[str, Variable]) -> None:
    variable = found.get("EGRESS_ROUTER_MODE", Variable("EGRESS_ROUTER_MODE", ""))
    if variable.text is None:
        draft.notes.add(QUESTION, variable.title, variable.problem)
        return
    mode = variable.text or "legacy"
    if mode not in (*_REDIRECT_MODES, *_DESTINATION):
        modes = ", ".join((*_REDIRECT_MODES, *_DESTINATION))
        draft.notes.add(ERROR, variable.title, f"{_shown(mode)} is not one of {modes}: correct it")
    name = _DESTINATION.get(mode, "EGRESS_DESTINATION")
    text = _text(draft, found, name, "add the destinations")
    if not text:
        return
    where = found[name].title
    if mode == "http-proxy":
        rules = "; ".join(http_rules(text))
        message = (
            f"the rules of an HTTP proxy cannot be redirect rules ({rules}): use an HTTP proxy whose own connections go through an "
            "egress router, and keep the old one until then"
        )
        draft.notes.add(LOST, where, message)
        draft.useless = True
        return
    destinations = proxied(text) if mode == "dns-proxy" else redirects(text)
    draft.origins.update({"redirect_rules": where, "fallback_ip": where})
    _take(draft, where, destinations)
    draft.useless = bool(destinations.lost) and not draft.rules
    if mode == "dns-proxy" and draft.rules:
        message = (
            "the old router accepted connections and made its own ones: now it redirects them, and the server ends them"
        )
        draft.notes.add(CHANGED, where, message)


def _take(draft: Draft, where: str, destinations: Destinations) -> None:
    for level, remarks in ((ERROR, destinations.errors), (LOST, destinations.lost), (UNCHANGED, destinations.oddities)):
        for remark in remarks:
            draft.notes.add(level, where, remark.message, remark.line)
    draft.rules = {rule.key: rule for _line, rule in destinations.rules}
    draft.fallback_ip = destinations.fallback_ip


def _text(draft: Draft, found: Mapping[str, Variable], name: str, advice: str) -> str:
    """The value of a variable without which the old router does not start; empty after a note about what is wrong."""
    variable = found.get(name)
    if variable is None:
        draft.notes.add(ERROR, name, f"is missing, without it the old router does not start: {advice}")
        return ""
    if variable.text is None:
        draft.notes.add(QUESTION, variable.title, variable.problem)
        return ""
    if not variable.text.strip():
        draft.notes.add(ERROR, variable.title, f"is empty, with it the old router does not start: {advice}")
        return ""
    # Lines are counted from the first one, blank or not.
    return variable.text.rstrip("\n")


def _read_placement(draft: Draft, workload: Workload) -> None:
    spec, notes = workload.spec, draft.notes
    draft.node_selector = {str(key): str(value) for key, value in (spec.get("nodeSelector") or {}).items()}
    if spec.get("nodeName") and not workload.scheduled:
        node = str(spec["nodeName"])
        draft.node_selector["kubernetes.io/hostname"] = node
        message = (
            f"'{node}' becomes a node_selector by the label kubernetes.io/hostname: check that the node has this label"
        )
        notes.add(CHANGED, "spec.nodeName", message)
    if spec.get("affinity"):
        notes.add(LOST, "spec.affinity", "is not supported: describe the nodes with node_selector and tolerations")
    draft.tolerations = [
        dict(item) for item in spec.get("tolerations") or () if not str(item.get("key") or "").startswith(_STATE_TAINTS)
    ]
    if workload.replicas == 0:
        notes.add(CHANGED, "spec.replicas", "is 0, the old router is switched off: now it runs")
    elif workload.replicas > 1:
        message = f"is {workload.replicas}, and all pods had the same address at the same time: now one pod has it"
        notes.add(CHANGED, "spec.replicas", message)


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return f"'{line if len(line) <= 100 else line[:100] + '...'}'"
