# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The whole list of routers: what `egress_routers` and `egress_router_defaults` mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .backend import EGRESS_ROUTER_CR
from .fields import expected, is_omitted, unknown_key
from .problems import Problem, Problems
from .router import Router, read_router

# The keys of egress_router_defaults: all of a router's but those that identify it.
DEFAULT_KEYS = (
    "backend",
    "disruption_budget",
    "failover",
    "fallback_ip",
    "host_users",
    "image",
    "image_pull_secrets",
    "macvlan_mode",
    "master",
    "monitoring",
    "monitoring_labels",
    "mtu",
    "namespace",
    "node_selector",
    "pod_annotations",
    "pod_labels",
    "priority_class_name",
    "redirect_rules",
    "replicas",
    "resources",
    "routes",
    "runtime_class_name",
    "security_context_constraints",
    "service",
    "source",
    "state",
    "tolerations",
)


def load(data: object, defaults: object = None, absent: bool = False) -> tuple[list[Router], list[Problem]]:
    """The routers of a list, and every problem of the whole list. With problems the routers must not be used.

    `absent`: every router is absent, whatever its own `state` says.
    """
    found: list[Problem] = []
    usable_defaults = _read_defaults(defaults, found)
    if data is None:
        return [], found
    if not isinstance(data, (list, tuple)):
        found.append(Problem("", "egress_routers", expected("a list of routers", data) + _of_text(data)))
        return [], found
    routers = []
    for number, item in enumerate(data):
        if is_omitted(item):
            continue
        problems = Problems("")
        router = read_router(item, usable_defaults, number, problems, absent)
        found += problems.found
        if router is not None:
            routers.append(router)
    return routers, found + conflicts(routers)


def conflicts(routers: Iterable[Router]) -> list[Problem]:
    """What two routers cannot both have. An absent one may have the address of another, which takes it over."""
    routers = list(routers)
    present = [router for router in routers if router.present]
    found = _shared(routers, "name", lambda router: [router.id], "is in the list twice: remove one of the two")
    advice = "is also that of router {other}: each router needs its own"
    found += _shared(present, "addresses", lambda router: [address.ip for address in router.addresses], advice)
    found += _shared(present, "mac", lambda router: [router.mac] if router.mac else [], advice)
    operators = [router for router in present if router.backend == EGRESS_ROUTER_CR]
    alone = "is also that of router {other}: the operator makes the pod of one router in a namespace, give each its own"
    found += _shared(operators, "namespace", lambda router: [router.namespace], alone)
    # Removing an absent router would remove the Service of the other.
    found += _shared(routers, "service.name", lambda router: [f"{router.namespace}/{router.service.name}"], advice)
    return found


def _shared(routers: list[Router], field: str, values: Callable[[Router], list[str]], message: str) -> list[Problem]:
    owners: dict[str, Router] = {}
    found = []
    for router in routers:
        for value in values(router):
            other = owners.setdefault(value, router)
            # The same name twice is reported as such, not once more for every address.
            if other is not router and (other.id != router.id or field == "name"):
                found.append(Problem(router.id, field, f"'{value}' {message.format(other=other.id)}"))
    return found


def _of_text(value: object) -> str:
    return ': use "{{ VARIABLE | from_yaml }}" to read YAML or JSON' if isinstance(value, str) else ""


def _read_defaults(defaults: object, found: list[Problem]) -> dict[str, Any]:
    if defaults is None:
        return {}
    if not isinstance(defaults, Mapping):
        found.append(Problem("", "egress_router_defaults", expected("a dictionary", defaults) + _of_text(defaults)))
        return {}
    for key in defaults:
        if key not in DEFAULT_KEYS:
            found.append(Problem("", f"egress_router_defaults.{key}", unknown_key(str(key), DEFAULT_KEYS)))
    return {key: value for key, value in defaults.items() if key in DEFAULT_KEYS and not is_omitted(value)}
