# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The answers of a survey, which are texts, as keys of a router. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._contract.rules import RulesError, parse
from .._router.fields import is_omitted
from .._router.problems import Problem

ANSWERS = ("name", "namespace", "state", "address", "pool", "gateway", "rules")
STATES = ("present", "absent")


def read_answers(answers: Mapping[str, Any]) -> tuple[dict[str, Any] | None, list[Problem]]:
    """The keys that the answers set; None if no router is named. What was not answered is not changed.

    `rules`: lines of `PORT PROTOCOL DESTINATION_IP [TARGET_PORT] [source=SOURCE_IP] [name=NAME]`, and `fallback DESTINATION_IP`. They
    replace all that the router had, its fallback too.
    """
    given = {key: text for key in ANSWERS if (text := _text(answers.get(key)))}
    if "name" not in given:
        return None, [
            Problem("", f"survey.{key}", "is answered, and survey.name is not: name the router")
            for key in given
            if key not in ("namespace", "state")
        ]
    problems: list[Problem] = []
    router_id = "/".join(filter(None, (given.get("namespace"), given["name"])))
    found: dict[str, Any] = {"name": given["name"]}
    if "namespace" in given:
        found["namespace"] = given["namespace"]
    state = given.get("state", "present")
    if state not in STATES:
        problems.append(Problem(router_id, "survey.state", f"'{state}' is not one of {', '.join(STATES)}"))
    # A router that comes back is not absent any more.
    found["state"] = "absent" if state == "absent" else None
    found.update(_addresses(given, router_id, problems))
    if "rules" in given:
        found.update(_rules(given["rules"], router_id, problems))
    return found, problems


def _addresses(given: Mapping[str, str], router_id: str, problems: list[Problem]) -> dict[str, Any]:
    """`address` may name several, `pool` asks it for one, and both for a certain one of the pool."""
    ips = given.get("address", "").replace(",", " ").split()
    if "pool" in given:
        if "gateway" in given:
            problems.append(Problem(router_id, "survey.gateway", f"is that of pool {given['pool']}: leave it empty"))
        pool = {"pool": given["pool"]}
        return {"addresses": [{**pool, "ip": ip} for ip in ips] or [pool]}
    if not ips:
        if "gateway" in given:
            message = "is answered, and survey.address is not: give the address that it belongs to"
            problems.append(Problem(router_id, "survey.gateway", message))
        return {}
    gateways = {_family(gateway): gateway for gateway in given.get("gateway", "").replace(",", " ").split()}
    unused = set(gateways) - {_family(ip) for ip in ips}
    for family in unused:
        message = f"'{gateways[family]}' is of another family than the addresses: give one of theirs"
        problems.append(Problem(router_id, "survey.gateway", message))
    addresses = []
    for ip in ips:
        gateway = gateways.get(_family(ip))
        addresses.append({"ip": ip, **({"gateway": gateway} if gateway else {})})
    return {"addresses": addresses}


def _family(text: str) -> int:
    """What is no address is told by the list's own reader."""
    return 6 if ":" in text else 4


def _rules(text: str, router_id: str, problems: list[Problem]) -> dict[str, Any]:
    try:
        found = parse(text)
    except RulesError as error:
        problems += [Problem(router_id, "survey.rules", problem) for problem in error.problems]
        return {}
    return {
        "redirect_rules": [rule.as_dict() for rule in found.rules],
        "fallback_ip": found.fallback_ip or None,
    }


def _text(value: Any) -> str:
    return "" if value is None or is_omitted(value) else str(value).strip()
