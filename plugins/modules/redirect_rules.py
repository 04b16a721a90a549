#!/usr/bin/python
# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: redirect_rules
short_description: Change the redirect rules of egress routers while they serve
version_added: 0.1.0
author:
  - egress.router maintainers (@egress-router)
description:
  - Writes the rules of many routers at once and waits until each router's agent has read them back from its kernel.
  - No pod is restarted. Connections of rules that stay go on, those of rules that go are cut.
  - When an agent refuses the rules or stays silent, the previous rules come back and the module fails with the reason.
  - The rules are written only if nobody else has written since they were read.
  - The ports of the router's Service follow its rules, unless the Service is headless. A new rule is live before its
    port appears, and a port is gone before its rule.
options:
  routers:
    description: The routers to change. Others are left alone.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The router's name.
        type: str
        required: true
      namespace:
        description: Its namespace.
        type: str
        required: true
      redirect_rules:
        description:
          - The rules. The same port may have a rule for each protocol and for each address family of the destination.
          - With O(state=deleted), leaving it out and O(routers[].fallback_ip) too deletes all rules and the fallback.
        type: list
        elements: dict
        suboptions:
          port:
            description: Port that clients connect to, from V(1) to V(65535).
            type: int
            required: true
          protocol:
            description: V(TCP), V(UDP) or V(SCTP), in capitals or not.
            type: str
            default: TCP
          destination_ip:
            description:
              - Address of the server.
              - Required unless O(state=deleted), for which port and protocol name the rule.
            type: str
          target_port:
            description: Port of the server, the same as O(routers[].redirect_rules[].port) if not given.
            type: int
          name:
            description: Name of the rule for listings and metrics, of lower-case letters, digits and hyphens.
            type: str
      fallback_ip:
        description: Address of the server for every port without a rule.
        type: str
  state:
    description:
      - V(replaced) makes the rules and the fallback exactly those given.
      - V(merged) adds the rules given, or puts them in the place of those on the same port, protocol and family.
      - V(deleted) takes the rules given away.
    type: str
    choices:
      - replaced
      - merged
      - deleted
    default: replaced
  wait:
    description: Whether to wait until the rules are live. Without it, refused rules are neither noticed nor taken back.
    type: bool
    default: true
  wait_timeout:
    description: How many seconds each router's agent has to confirm its rules.
    type: int
    default: 30
extends_documentation_fragment:
  - egress.router._attributes
  - egress.router._attributes.action_group
  - egress.router._k8s_auth
attributes:
  check_mode:
    support: full
    details:
      - The API server is asked with a dry run, so admission is part of the prediction; the agents are not asked.
      - Rules of a router that is not deployed yet are predicted from none.
  diff_mode:
    support: full
    details:
      - One line for each rule.
  idempotent:
    support: full
seealso:
  - module: egress.router.redirect_rules_info
"""

EXAMPLES = r"""
- name: Make these the rules of the router
  egress.router.redirect_rules:
    routers:
      - name: billing-db
        namespace: payments
        redirect_rules:
          - {port: 5432, destination_ip: 203.0.113.10}
          - {port: 8080, destination_ip: 203.0.113.11, target_port: 80, name: invoices}
          - {port: 53, protocol: UDP, destination_ip: 203.0.113.12}
        fallback_ip: 203.0.113.99

- name: Add a rule to two routers, whatever rules they have
  egress.router.redirect_rules:
    state: merged
    routers:
      - name: billing-db
        namespace: payments
        redirect_rules: &ntp
          - {port: 123, protocol: UDP, destination_ip: 203.0.113.20}
      - name: partner-api
        namespace: shop
        redirect_rules: *ntp

- name: Take a rule away
  egress.router.redirect_rules:
    state: deleted
    routers:
      - name: billing-db
        namespace: payments
        redirect_rules:
          - {port: 8080}
"""

RETURN = r"""
routers:
  description: What became of each router, in the order given. Also there when the module fails.
  returned: always, unless the options or the connection are at fault
  type: list
  elements: dict
  contains:
    name:
      description: The router's name.
      type: str
      sample: billing-db
    namespace:
      description: Its namespace.
      type: str
      sample: payments
    changed:
      description: Whether its rules or its Service's ports were changed, or would be in check mode.
      type: bool
    before:
      description: Its rules before, one line each.
      type: list
      elements: str
      sample:
        - 5432 TCP 203.0.113.10
    after:
      description: Its rules after.
      type: list
      elements: str
      sample:
        - 5432 TCP 203.0.113.10
        - 8080 TCP 203.0.113.11 80 name=invoices
    hash:
      description: Hash of the rules after, as the agent reports it.
      type: str
    seconds:
      description: Seconds from the start of its change until its rules were confirmed live; V(none) if not waited for.
      type: float
      sample: 0.214
    error:
      description: Why it failed, empty if it did not.
      type: str
"""

from ansible_collections.egress.router.plugins.module_utils._kubernetes.cluster import EgressModule
from ansible_collections.egress.router.plugins.module_utils._kubernetes.redirect_rules import (
    change,
    read_requests,
    summary,
)


def main() -> None:
    rule = {
        "port": {"type": "int", "required": True},
        "protocol": {"type": "str", "default": "TCP"},
        "destination_ip": {"type": "str"},
        "target_port": {"type": "int"},
        "name": {"type": "str"},
    }
    router = {
        "name": {"type": "str", "required": True},
        "namespace": {"type": "str", "required": True},
        "redirect_rules": {"type": "list", "elements": "dict", "options": rule},
        "fallback_ip": {"type": "str"},
    }
    module = EgressModule(
        argument_spec={
            "routers": {"type": "list", "elements": "dict", "required": True, "options": router},
            "state": {"type": "str", "choices": ["replaced", "merged", "deleted"], "default": "replaced"},
            "wait": {"type": "bool", "default": True},
            "wait_timeout": {"type": "int", "default": 30},
        }
    )
    params = module.params
    with module.errors():
        requests = read_requests(params["routers"], params["state"])
        outcomes = change(module.connect(), requests, params["wait_timeout"] if params["wait"] else None)
        plans = [outcome.plan for outcome in outcomes if outcome.plan.changed]
        result = {
            "changed": bool(plans),
            "diff": [plan.diff() for plan in plans],
            "routers": [outcome.as_dict() for outcome in outcomes],
        }
        failure = summary(outcomes)
        if failure:
            module.fail(failure, **result)
        module.exit_json(**result)


if __name__ == "__main__":
    main()
