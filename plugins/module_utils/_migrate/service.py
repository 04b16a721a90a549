# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""From the Services that lead to an old router. Clients keep the name and the ports of one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._contract.rules import Rule, make_rule
from .draft import Draft, PortKey
from .objects import Object, Objects, selector_of, source_of
from .report import CHANGED, LOST, UNCHANGED, Item


def take_services(drafts: Sequence[Draft], objects: Objects) -> list[Item]:
    """Gives each draft its Service, and returns what there is to say of Services that are of no single router."""
    others: list[Item] = []
    own: dict[int, list[Object]] = {}
    spaces = sorted({draft.notes.source.namespace for draft in drafts})
    for service in (service for namespace in spaces for service in objects.services_of(namespace)):
        there = [draft for draft in drafts if draft.notes.source.namespace == source_of(service).namespace]
        selected = [draft for draft in there if _missing(service, draft) == {}]
        if len(selected) == 1:
            own.setdefault(id(selected[0]), []).append(service)
        elif selected:
            others.append(_of_several(service, selected))
        else:
            others += _of_none(service, there)
    for draft in drafts:
        if id(draft) in own:
            _take_best(draft, own[id(draft)])
        else:
            _note_own(draft, objects)
    return others


def _missing(service: Object, draft: Draft) -> Mapping[str, str]:
    """The part of the selector that the old pods do not have."""
    return {key: value for key, value in selector_of(service).items() if draft.labels.get(key) != value}


def _of_several(service: Object, drafts: Sequence[Draft]) -> Item:
    names = ", ".join(draft.name for draft in drafts)
    message = (
        f"selects the pods of {len(drafts)} old routers ({names}), and a new router has a Service of its own: decide which of them "
        f"keeps the name with service.name: {source_of(service).name}"
    )
    return Item(LOST, source_of(service), "spec.selector", message)


def _of_none(service: Object, drafts: Sequence[Draft]) -> list[Item]:
    """A Service that has been meant for a router, as a part of its selector shows."""
    selector = selector_of(service)
    near = [draft for draft in drafts if len(_missing(service, draft)) < len(selector)]
    if not near:
        return []
    lacking = ", ".join(f"{key}={value}" for key, value in _missing(service, near[0]).items())
    message = (
        f"does not lead to {near[0].notes.source}, whose pods lack {lacking} of its selector: if it should, set service.name: "
        f"{source_of(service).name} of the new router"
    )
    return [Item(UNCHANGED, source_of(service), "spec.selector", message)]


def _note_own(draft: Draft, objects: Objects) -> None:
    """The new router has a Service anyway."""
    name = draft.name
    if objects.get("Service", draft.notes.source.namespace, name):
        name = f"{name}-router"
        draft.service["name"] = name
        draft.notes.add(
            CHANGED,
            "",
            f"no Service leads to it, and there is a Service {draft.name} of others: that of the new router is called {name}",
        )
    else:
        draft.notes.add(UNCHANGED, "", f"no Service leads to it: the new router has the Service {name}")


def _take_best(draft: Draft, services: Sequence[Object]) -> None:
    """The Service with the router's name, or the first by name."""
    old = draft.notes.source.name
    best, *rest = sorted(services, key=lambda service: (source_of(service).name != old, source_of(service).name))
    for service in rest:
        message = (
            f"leads to it as well, and a router has one Service: lead its clients to {source_of(best).name}, or make it an "
            "ExternalName of that"
        )
        draft.notes.add(LOST, str(source_of(service)), message)
    _take(draft, best)


def _take(draft: Draft, service: Object) -> None:
    where, name, spec = str(source_of(service)), source_of(service).name, service.get("spec") or {}
    if name != draft.name:
        draft.service["name"] = name
    draft.notes.add(
        CHANGED,
        where,
        "the new router has a Service of this name: egress.router.cutover gives it the old one, provision changes no Service of others",
    )
    outside = [key for key in ("externalIPs", "loadBalancerIP") if spec.get(key)]
    outside += [f"type {spec['type']}"] if spec.get("type") in ("NodePort", "LoadBalancer") else []
    if outside:
        message = f"{', '.join(outside)}: the new Service is reached within the cluster alone"
        draft.notes.add(LOST, where, message)
    if spec.get("clusterIP") == "None":
        draft.service["headless"] = True
        return
    _take_ports(draft, where, spec.get("ports") or ())


def _take_ports(draft: Draft, where: str, ports: Sequence[Mapping[str, Any]]) -> None:
    """What clients of the Service reach on each port, they reach there again: rules follow the Service's target ports."""
    before = {(rule.port, rule.protocol): rule for rule in draft.rules.values()}
    served: set[PortKey] = set()
    extra: list[dict[str, Any]] = []
    for item in ports:
        port, protocol = int(item["port"]), str(item.get("protocol") or "TCP").upper()
        target = _target(draft, item.get("targetPort"), port)
        served.add((port, protocol))
        rule = before.get((target, protocol)) if target else None
        if target is None:
            message = f"port {port}/{protocol} has the target port '{item['targetPort']}', which no container of the old pod has: correct it"
            draft.notes.add(LOST, where, message)
        elif rule is None and not draft.fallback_ip:
            _note_nowhere(draft, where, (port, protocol), target, (port, protocol) in before)
        elif port != target:
            _redirect(draft, where, (port, protocol), target, rule)
        elif rule is None:
            extra.append({"port": port, "protocol": protocol})
    if extra:
        draft.service["extra_ports"] = extra
    added = sorted(set(before) - served)
    if added:
        listed = ", ".join(f"{port}/{protocol}" for port, protocol in added)
        draft.notes.add(CHANGED, where, f"it has no port {listed}: the new Service has a port for each rule")


def _note_nowhere(draft: Draft, where: str, key: PortKey, target: int, has_rule: bool) -> None:
    port, protocol = key
    level, now = (CHANGED, "now it leads where the rule for that port does") if has_rule else (LOST, "it is left out")
    draft.notes.add(level, where, f"port {port}/{protocol} leads to port {target}, which has no rule: {now}")


def _target(draft: Draft, written: Any, port: int) -> int | None:
    """The port of the old pod; None for an unknown name."""
    text = str(written or port)
    return int(text) if text.isdecimal() else draft.ports.get(text)


def _redirect(draft: Draft, where: str, key: PortKey, target: int, rule: Rule | None) -> None:
    """The new router redirects what the Service did."""
    port, protocol = key
    destination, target_port = (rule.destination_ip, rule.target_port) if rule else (draft.fallback_ip, target)
    new = make_rule(port, protocol, destination, target_port)
    draft.rules[new.key] = new
    message = (
        f"port {port}/{protocol} leads to port {target} of the old router, the new Service has the ports of the rules: there is a rule "
        f"for port {port}, to port {target_port} of {destination}"
    )
    draft.notes.add(CHANGED, where, message)
