# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""From an EgressRouter resource, which OpenShift's Cluster Network Operator turns into a pod."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .._contract.rules import FieldsError, IPNetwork, make_fallback, make_rule
from .draft import Draft, add_address, add_rule
from .objects import Object, source_of
from .report import CHANGED, ERROR, LOST, Notes

# The operator's Deployment has this label whatever the resource is called.
LABELS = {"app": "egress-router-cni"}


def read_resource(item: Object, networks: Sequence[IPNetwork]) -> Draft:
    """The draft of a resource."""
    source = source_of(item)
    draft = Draft(Notes(source), source.name, LABELS)
    spec = item.get("spec") or {}
    _read_addresses(draft, spec.get("addresses") or (), networks)
    _read_interface(draft, (spec.get("networkInterface") or {}).get("macvlan") or {})
    redirect = spec.get("redirect") or {}
    draft.origins.update({"redirect_rules": "spec.redirect.redirectRules", "fallback_ip": "spec.redirect.fallbackIP"})
    _read_rules(draft, redirect.get("redirectRules") or ())
    _read_fallback(draft, str(redirect.get("fallbackIP") or ""))
    return draft


def note_neighbours(drafts: Iterable[Draft]) -> None:
    """The operator gives the objects of all resources of a namespace the same names."""
    spaces: dict[str, list[Draft]] = {}
    for draft in drafts:
        spaces.setdefault(draft.notes.source.namespace, []).append(draft)
    for together in spaces.values():
        for draft in together if len(together) > 1 else ():
            others = ", ".join(other.name for other in together if other is not draft)
            draft.notes.add(
                CHANGED,
                "",
                f"only one EgressRouter of a namespace worked at a time, beside {others}: now each of them works",
            )


def _read_addresses(draft: Draft, addresses: Sequence[Mapping[str, Any]], networks: Sequence[IPNetwork]) -> None:
    if not addresses:
        draft.notes.add(
            ERROR, "spec.addresses", "is empty, so that the operator made no router of it: add the egress address"
        )
    families: list[bool] = []
    for place, address in enumerate(addresses):
        where, ip, gateway = f"spec.addresses[{place}]", str(address.get("ip") or ""), str(address.get("gateway") or "")
        six = ":" in ip
        if six in families:
            message = f"'{ip}' is a second address of its family, which had no effect: it is left out, add it to addresses to use it"
            draft.notes.add(LOST, f"{where}.ip", message)
            continue
        families.append(six)
        if place == 0 and not gateway:
            message = (
                "is missing, so that the operator made no router of it: set it to the next hop on the address's subnet"
            )
            draft.notes.add(ERROR, f"{where}.gateway", message)
        if place > 0:
            draft.notes.add(
                CHANGED,
                f"{where}.ip",
                f"'{ip}' had no effect: now the router has this address too; remove it if it is not reserved",
            )
        elif six:
            draft.notes.add(
                CHANGED, f"{where}.ip", f"'{ip}' is IPv6, with which the old router does not start: now it works"
            )
        add_address(draft, f"{where}.ip", ip, gateway, networks, f"{where}.gateway")


def _read_interface(draft: Draft, macvlan: Mapping[str, Any]) -> None:
    where, master, mode = (
        "spec.networkInterface.macvlan",
        str(macvlan.get("master") or ""),
        str(macvlan.get("mode") or "Bridge"),
    )
    if master:
        draft.master = master
        message = (
            f"'{master}' had no effect, the interface of the default route was used: now the router is on {master}"
        )
        draft.notes.add(CHANGED, f"{where}.master", message)
    if mode != "Bridge":
        message = f"'{mode}' had no effect and is left out, the mode stays bridge: add macvlan_mode: {mode.lower()} if you need it"
        draft.notes.add(LOST, f"{where}.mode", message)


def _read_rules(draft: Draft, rules: Sequence[Mapping[str, Any]]) -> None:
    for place, written in enumerate(rules):
        where = f"spec.redirect.redirectRules[{place}]"
        try:
            rule = make_rule(
                written.get("port"),
                written.get("protocol", "TCP"),
                written.get("destinationIP"),
                written.get("targetPort"),
            )
        except FieldsError as error:
            for field, message in error.fields:
                draft.notes.add(ERROR, f"{where}.{_KEYS[field]}", f"{message}: correct it")
            continue
        add_rule(draft, where, rule)


_KEYS = {"port": "port", "protocol": "protocol", "destination_ip": "destinationIP", "target_port": "targetPort"}


def _read_fallback(draft: Draft, written: str) -> None:
    if not written:
        return
    where = "spec.redirect.fallbackIP"
    try:
        draft.fallback_ip = make_fallback(written)
    except FieldsError as error:
        draft.notes.add(ERROR, where, f"{error.fields[0][1]}: correct it")
        return
    message = (
        f"'{written}' had no effect, connections to ports without a rule were refused: now every port is open and leads there; "
        "remove fallback_ip if that is not wanted"
    )
    draft.notes.add(CHANGED, where, message)
