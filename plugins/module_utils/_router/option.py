# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The options `routers` and `defaults` of a module: the schema of the users' list, documented in the fragment _routers.

The collection's action plugins read the list (plugin_utils/_action.py), because only what was written tells what comes from
`defaults`: in a module Ansible has filled in the defaults of every key already. The module gets the result in `checked`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from .._common.errors import InputError
from .._contract.failover import SERVE, STOP, Failover
from .._contract.rules import PROTOCOLS
from .._contract.sources import FIRST, SOURCES
from . import checked
from .backend import AGENT, BACKENDS, DEFAULT_RESOURCES
from .passed_on import EFFECTS, OPERATORS
from .problems import Problem
from .router import MACVLAN_MODES, STATES, Router

# Reads a list and its defaults, with `absent` all routers as absent ones: the text of _router.checked, and every problem.
ReadText: TypeAlias = Callable[[Any, Any, bool], "tuple[str, list[Problem]]"]


def _list_of(options: dict[str, Any]) -> dict[str, Any]:
    return {"type": "list", "elements": "dict", "default": [], "options": options}


def _one_of(choices: tuple[str, ...], **more: str) -> dict[str, Any]:
    return {"type": "str", "choices": list(choices), **more}


_TEXT = {"type": "str"}
_REQUIRED_TEXT = {"type": "str", "required": True}
_TEXTS: dict[str, Any] = {"type": "dict", "default": {}}
_PORT: dict[str, Any] = {
    "port": {"type": "int", "required": True},
    "protocol": _one_of(PROTOCOLS, default="TCP"),
}
_RULE: dict[str, Any] = {
    **_PORT,
    "destination_ip": _REQUIRED_TEXT,
    "target_port": {"type": "int"},
    "name": _TEXT,
    "source_ip": _TEXT,
}
_TOLERATION: dict[str, Any] = {
    "key": {"type": "str", "no_log": False},
    "operator": _one_of(OPERATORS),
    "value": _TEXT,
    "effect": _one_of(EFFECTS),
    "tolerationSeconds": {"type": "int"},
}
_SERVICE: dict[str, Any] = {
    "name": _TEXT,
    "headless": {"type": "bool", "default": False},
    "extra_ports": _list_of(_PORT),
    "annotations": _TEXTS,
    "labels": _TEXTS,
}
_FAILOVER: dict[str, Any] = {
    "beat_ms": {"type": "int", "default": Failover.beat_ms},
    "promise_ms": {"type": "int", "default": Failover.promise_ms},
    "lease_seconds": {"type": "int", "default": Failover.lease_seconds},
    "relay_seconds": {"type": "int", "default": Failover.relay_seconds},
    "without_api": _one_of((SERVE, STOP), default=Failover.without_api),
}
_ROUTER: dict[str, Any] = {
    "name": _REQUIRED_TEXT,
    "namespace": _TEXT,
    "state": _one_of(STATES, default="present"),
    "backend": _one_of(tuple(BACKENDS), default=AGENT),
    "addresses": _list_of({"ip": _TEXT, "gateway": _TEXT, "pool": _TEXT}),
    "routes": _list_of({"destination": _REQUIRED_TEXT, "gateway": _REQUIRED_TEXT}),
    "mac": _TEXT,
    "master": _TEXT,
    "macvlan_mode": _one_of(MACVLAN_MODES, default="bridge"),
    "mtu": {"type": "int"},
    "source": _one_of(SOURCES, default=FIRST),
    "redirect_rules": _list_of(_RULE),
    "fallback_ip": _TEXT,
    "replicas": {"type": "int", "default": 1},
    "failover": {"type": "dict", "default": {}, "options": _FAILOVER},
    "disruption_budget": {"type": "bool"},
    "monitoring": {"type": "bool", "default": False},
    "monitoring_labels": _TEXTS,
    "image": _TEXT,
    "node_selector": _TEXTS,
    "tolerations": _list_of(_TOLERATION),
    "resources": {"type": "dict", "default": DEFAULT_RESOURCES},
    "pod_labels": _TEXTS,
    "pod_annotations": _TEXTS,
    "priority_class_name": _TEXT,
    "runtime_class_name": _TEXT,
    "image_pull_secrets": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "host_users": {"type": "bool"},
    "security_context_constraints": _TEXT,
    "service": {"type": "dict", "default": {}, "options": _SERVICE},
}

SPEC: dict[str, Any] = {
    "routers": {"type": "list", "elements": "dict", "required": True, "options": _ROUTER},
    "defaults": {"type": "dict", "default": {}},
    "checked": {"type": "str"},
}


def read(params: Mapping[str, Any]) -> list[Router]:
    """The routers of a module's parameters."""
    if params["checked"] is None:
        raise InputError("the list of routers was not read: the module's action plugin has to run before it")
    return checked.load(params["checked"])


def routers_arguments(args: dict[str, Any], read_text: ReadText) -> dict[str, Any]:
    """What a module with these options gets for the arguments of its task. InputError with all problems of the list."""
    if "checked" in args:
        raise InputError("checked: is set by the collection itself: remove it")
    if "routers" not in args:
        return args  # The module says that it is required.
    text = _text(read_text(args["routers"], args.get("defaults"), args.get("state") == "absent"))
    return {**args, "routers": [], "defaults": {}, "checked": text}


def rules_arguments(args: dict[str, Any], read_text: ReadText) -> dict[str, Any]:
    """What the module redirect_rules gets: with `defaults` the list is that of all the other modules."""
    if "defaults" not in args or "routers" not in args:
        return args
    routers = checked.load(_text(read_text(args["routers"], args["defaults"], False)))
    rules = [
        {
            "name": router.name,
            "namespace": router.namespace,
            "backend": router.backend,
            "text": router.rules.text(),
        }
        for router in routers
        if router.present
    ]
    return {**args, "routers": rules, "defaults": {}}


def _text(found: tuple[str, list[Problem]]) -> str:
    text, problems = found
    if problems:
        raise InputError("\n".join(str(problem) for problem in problems))
    return text
