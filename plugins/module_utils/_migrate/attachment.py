# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""From a NetworkAttachmentDefinition that somebody wrote for OpenShift's plugin egress-router, without the operator."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .._contract.rules import FieldsError, IPNetwork, make_fallback, make_rule
from .draft import Draft, add_address, add_rule
from .objects import Object, Objects, Workload, source_of
from .report import CHANGED, ERROR, LOST, UNCHANGED, Notes, Source

_NETWORKS = "k8s.v1.cni.cncf.io/networks"
_TYPE = "egress-router"


def read_attachments(objects: Objects, networks: Sequence[IPNetwork]) -> list[Draft]:
    """The drafts of those that no EgressRouter owns."""
    found = []
    for item in objects.of("NetworkAttachmentDefinition"):
        owners = [owner.get("kind") for owner in item["metadata"].get("ownerReferences") or ()]
        config = _plugin_of(item)
        if config is not None and "EgressRouter" not in owners:
            found.append(_read(item, config, objects, networks))
    return found


def _plugin_of(item: Object) -> Mapping[str, Any] | None:
    """The plugin's part of the configuration; None if it is for other plugins."""
    try:
        config = json.loads((item.get("spec") or {}).get("config") or "")
        plugins = config.get("plugins") or [config]
        return next((plugin for plugin in plugins if plugin.get("type") == _TYPE), None)
    except (ValueError, AttributeError):
        return None


def _read(item: Object, config: Mapping[str, Any], objects: Objects, networks: Sequence[IPNetwork]) -> Draft:
    source = source_of(item)
    users = users_of(source, objects)
    draft = Draft(Notes(source), source.name, users[0].labels if users else {})
    if not users:
        draft.notes.add(CHANGED, "", "no pod uses it: now there is a router")
    ip, arguments = config.get("ip") or {}, config.get("interfaceArgs") or {}
    _read_addresses(draft, ip, networks)
    _read_destinations(draft, ip.get("destinations") or ())
    draft.master = str(arguments.get("master") or "")
    draft.macvlan_mode = str(arguments.get("mode") or "")
    draft.mtu = str(arguments.get("mtu") or "")
    draft.origins.update(
        {
            key: f"spec.config interfaceArgs.{name}"
            for key, name in (("master", "master"), ("macvlan_mode", "mode"), ("mtu", "mtu"))
        }
    )
    return draft


def users_of(source: Source, objects: Objects) -> list[Workload]:
    """What makes pods with a network."""
    return [workload for workload in objects.workloads() if _uses(workload, source.namespace, source.name)]


def _uses(workload: Workload, namespace: str, name: str) -> bool:
    """Whether pods have the network: a JSON list, or `NAMESPACE/NAME@INTERFACE` with commas."""
    written = str(workload.annotations.get(_NETWORKS) or "")
    if workload.source.namespace != namespace:
        return False
    try:
        names = [str(item.get("name")) for item in json.loads(written)]
    except (ValueError, AttributeError, TypeError):
        names = [item.strip().partition("@")[0].rpartition("/")[2] for item in written.split(",")]
    return name in names


def _read_addresses(draft: Draft, ip: Mapping[str, Any], networks: Sequence[IPNetwork]) -> None:
    where = "spec.config ip.addresses"
    addresses, gateway = [str(address) for address in ip.get("addresses") or ()], str(ip.get("gateway") or "")
    if not addresses:
        draft.notes.add(ERROR, where, "is empty, with it the pod does not start: add the egress address")
        return
    if not gateway:
        message = "is missing, without it the pod does not start: set it to the next hop on the address's subnet"
        draft.notes.add(ERROR, "spec.config ip.gateway", message)
    if ":" in addresses[0]:
        draft.notes.add(
            CHANGED, where, f"'{addresses[0]}' is IPv6, with which the old router does not start: now it works"
        )
    for address in addresses[1:]:
        draft.notes.add(LOST, where, f"'{address}' is not the first one and had no effect: it is left out")
    add_address(draft, f"{where}[0]", addresses[0], gateway, networks, "spec.config ip.gateway")


def _read_destinations(draft: Draft, written: Sequence[Any]) -> None:
    """Evaluation ends with the first that matches. A lone address matches everything."""
    for place, item in enumerate(written):
        where, text = f"spec.config ip.destinations[{place}]", str(item)
        words = text.split(" ")
        if draft.fallback_ip:
            draft.notes.add(
                UNCHANGED,
                where,
                f"'{text}' is after a lone address, which takes every port: it had no effect and is left out",
            )
            continue
        if len(words) not in (1, 3, 4) or "" in words:
            message = (
                f"'{text}' is neither PORT PROTOCOL IP [TARGET_PORT] with single spaces nor an IP address: correct it"
            )
            draft.notes.add(ERROR, where, message)
            continue
        try:
            _take(draft, where, words)
        except FieldsError as error:
            for _field, message in error.fields:
                draft.notes.add(ERROR, where, f"{message}: correct it")


def _take(draft: Draft, where: str, words: Sequence[str]) -> None:
    if len(words) == 1:
        draft.fallback_ip = make_fallback(words[0])
        return
    port, protocol, destination, *target = words
    add_rule(draft, where, make_rule(port, protocol, destination, *target))
