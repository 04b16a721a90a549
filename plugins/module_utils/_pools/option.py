# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The options of the modules for pools, which are documented in the fragment _pools."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from typing import Any

from .._common.errors import InputError
from .._router import checked, option
from .._router.option import ReadText
from .._router.problems import Problem
from .pool import QUARANTINE_SECONDS, Pool, read_pools
from .request import Request, by_request, filled, read_requests
from .run import Options, Wanted
from .segment import Options as SegmentOptions

_POOL: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "ranges": {"type": "list", "elements": "str", "required": True},
    "prefix_length": {"type": "int", "required": True},
    "gateway": {"type": "str"},
    "exclude": {"type": "list", "elements": "str", "default": []},
    "quarantine_seconds": {"type": "int", "default": QUARANTINE_SECONDS},
}
# Of both modules.
POOLS: dict[str, Any] = {
    "pools": {"type": "list", "elements": "dict", "required": True, "options": _POOL},
    "namespace": {"type": "str", "required": True},
}
SPEC: dict[str, Any] = {
    **option.SPEC,
    **POOLS,
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "release_unused": {"type": "bool", "default": False},
    "create_namespace": {"type": "bool", "default": False},
    "node_checks": {"type": "bool", "default": True},
    "node_checks_namespace": {"type": "str", "default": ""},
    "cni_directory": {"type": "str", "default": ""},
    "wait_timeout": {"type": "int", "default": 120},
}


def arguments(args: dict[str, Any], read_text: ReadText) -> dict[str, Any]:
    """What the module address_pool gets for the arguments of its task. InputError with all problems of the list and the pools."""
    if "checked" in args:
        raise InputError("checked: is set by the collection itself: remove it")
    if "routers" not in args or "pools" not in args:
        return args  # The module says that they are required.
    absent = args.get("state") == "absent"
    pools, problems = read_pools(args["pools"])
    texts: list[str] = []

    def check(routers: Any) -> list[Problem]:
        text, found = read_text(routers, args.get("defaults"), absent)
        texts.append(text)
        return found

    usable = None if problems or absent else pools
    requests, others, used = read_requests(args["routers"], args.get("defaults"), usable, check)
    problems += others
    if problems:
        raise InputError("\n".join(map(str, problems)))
    document = [texts[-1], [request.as_list() for request in requests], {str(ip): why for ip, why in used.items()}]
    return {**args, "routers": [], "defaults": {}, "checked": json.dumps(document)}


def read(params: Mapping[str, Any]) -> Wanted:
    """What a module with SPEC is asked for."""
    if params["checked"] is None:
        raise InputError("the list of routers was not read: the module's action plugin has to run before it")
    routers, requests, used = json.loads(params["checked"])
    return Wanted(
        pools_of(params),
        [Request.from_list(one) for one in requests],
        checked.load(routers),
        {ipaddress.ip_address(ip): reason for ip, reason in used.items()},
    )


def pools_of(params: Mapping[str, Any]) -> dict[str, Pool]:
    """The pools of a module's parameters; InputError with all their problems."""
    pools, problems = read_pools(params["pools"])
    if problems:
        raise InputError("\n".join(map(str, problems)))
    return pools


def options(params: Mapping[str, Any]) -> Options:
    """How it is done."""
    segment = SegmentOptions(
        params["node_checks"], params["node_checks_namespace"], params["cni_directory"], params["wait_timeout"]
    )
    unused = params["release_unused"] or params["state"] == "absent"
    return Options(params["namespace"], params["create_namespace"], unused, segment)


def with_addresses(result: dict[str, Any], args: Mapping[str, Any]) -> dict[str, Any]:
    """A result of the module with the list of the task's arguments, filled in."""
    if "addresses" not in result or "routers" not in args:
        return result
    return {**result, "routers": filled(args["routers"], args.get("defaults"), by_request(result["addresses"]))}
