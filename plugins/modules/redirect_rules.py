#!/usr/bin/python
# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: redirect_rules
short_description: Change the redirect rules of running egress routers
version_added: 0.1.0
author:
  - egress.router maintainers (@egress-router)
description:
  - Writes the rules of any number of routers at once, and waits until the agent of each has read them back from the kernel.
  - No pod is restarted. Connections of rules that stay are not interrupted, those of removed rules are cut.
  - If an agent refuses the rules or does not confirm them in time, the previous rules are restored and the module fails with
    the reason.
  - The rules are written only if nobody else has changed them since they were read.
  - The ports of the router's Service follow its rules, unless the Service is headless. A rule is live before its port is
    opened, and a port is closed before its rule is removed.
  - Routers with O(routers[].backend=egress_router_cr) have no live form of rules. Their pods are made anew, which takes some seconds,
    and all connections through them break. If the pod does not run with the new rules, the previous ones are restored. Rules
    that others have changed in the EgressRouter without a restart of its pod count as a change too.
options:
  routers:
    description: The routers whose rules are changed. Others are left alone.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the router.
        type: str
        required: true
      namespace:
        description: Namespace of the router.
        type: str
        required: true
      backend:
        description:
          - What makes the router's pod, as in O(egress.router.router#module:routers[].backend).
          - Names of rules are not kept with V(egress_router_cr), a fallback and IPv6 destinations are refused, and ports 29797 to 29799
            are free.
        type: str
        choices: [agent, egress_router_cr]
        default: agent
      redirect_rules:
        description:
          - The rules. A port may be given once for each protocol and address family of the destination.
          - With O(state=deleted), all rules and the fallback are deleted if O(routers[].redirect_rules),
            O(routers[].fallback_ip) and O(routers[].text) are left out.
        type: list
        elements: dict
        suboptions:
          port:
            description: Port that clients connect to, from V(1) to V(65535).
            type: int
            required: true
          protocol:
            description: V(TCP), V(UDP) or V(SCTP). Lowercase is accepted too.
            type: str
            default: TCP
          destination_ip:
            description:
              - IP address of the server.
              - Required unless O(state=deleted), where port and protocol identify the rule.
            type: str
          target_port:
            description: Port of the server. If left out, it is O(routers[].redirect_rules[].port).
            type: int
          name:
            description: Name of the rule in listings and metrics. Up to 63 lowercase letters, digits and hyphens.
            type: str
          source_ip:
            description:
              - The router's address that connections of the rule leave from, see
                O(egress.router.router#module:routers[].redirect_rules[].source_ip).
              - The router has to be deployed with it before.
            type: str
      fallback_ip:
        description: IP address of the server for every port without a rule.
        type: str
      text:
        description:
          - The rules and the fallback as text, one a line, as they are in the router's ConfigMap. A rule is
            C(PORT PROTOCOL DESTINATION_IP [TARGET_PORT] [source=SOURCE_IP] [name=NAME]), the fallback C(fallback DESTINATION_IP).
            Empty lines and comments, from C(#) to the end of a line, are ignored.
          - The value of C(EGRESS_DESTINATION) of OpenShift's former redirect image is such a text too. There the fallback is an
            address alone, on the last line.
          - Useful for a multi-line field of an AWX survey.
          - Mutually exclusive with O(routers[].redirect_rules) and O(routers[].fallback_ip).
        type: str
  defaults:
    description:
      - If given, even if it is empty, O(routers) is the list that M(egress.router.router) takes, with all keys of a router and
        these defaults. It is checked in the same way, and absent routers are left out.
    type: dict
  state:
    description:
      - V(replaced) gives each router exactly these rules and this fallback.
      - V(merged) adds these rules. A rule with the same port, protocol and address family is replaced.
      - V(deleted) removes these rules.
    type: str
    choices:
      - replaced
      - merged
      - deleted
    default: replaced
  after_deploy:
    description:
      - Whether M(egress.router.router) is run before with the same list, as the playbook C(provision) does.
      - In check mode, addresses that it would add to the routers are taken as theirs then.
    type: bool
    default: false
  wait:
    description: Whether to wait until the rules are live. Otherwise it is not noticed if an agent refuses them.
    type: bool
    default: true
  wait_timeout:
    description: Seconds that each router's agent has to confirm its rules, or that its pod has to run with them.
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
      - Writes are sent to the API server as a dry run, so admission is part of the prediction. The agents are not asked.
      - A router that is not deployed yet is taken as one without rules.
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
- name: Give a router exactly these rules
  egress.router.redirect_rules:
    routers:
      - name: billing-db
        namespace: payments
        redirect_rules:
          - {port: 5432, destination_ip: 203.0.113.10}
          - {port: 8080, destination_ip: 203.0.113.11, target_port: 80, name: invoices}
          - {port: 53, protocol: UDP, destination_ip: 203.0.113.12}
        fallback_ip: 203.0.113.99

- name: Add a rule to two routers
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

- name: Remove a rule
  egress.router.redirect_rules:
    state: deleted
    routers:
      - name: billing-db
        namespace: payments
        redirect_rules:
          - {port: 8080}

- name: Give a router the rules of a survey
  egress.router.redirect_rules:
    routers:
      - name: billing-db
        namespace: payments
        text: |
          5432 TCP 203.0.113.10
          8080 TCP 203.0.113.11 80 name=invoices
          fallback 203.0.113.99

- name: Give all routers of the list their rules
  egress.router.redirect_rules:
    routers: "{{ egress_routers }}"
    defaults: "{{ egress_router_defaults | default({}) }}"
"""

RETURN = r"""
routers:
  description: The result for each router, in the order of O(routers). Also returned when the module fails.
  returned: always, unless the options or the connection are at fault
  type: list
  elements: dict
  contains:
    name:
      description: Name of the router.
      type: str
      sample: billing-db
    namespace:
      description: Namespace of the router.
      type: str
      sample: payments
    changed:
      description: Whether its rules or the ports of its Service were changed, or would be changed in check mode.
      type: bool
    before:
      description: The rules before, one a line.
      type: list
      elements: str
      sample:
        - 5432 TCP 203.0.113.10
    after:
      description: The rules after.
      type: list
      elements: str
      sample:
        - 5432 TCP 203.0.113.10
        - 8080 TCP 203.0.113.11 80 name=invoices
    hash:
      description: Hash of the rules after, as the agent reports it. Names do not count.
      type: str
    seconds:
      description: Seconds until the agent confirmed the rules, or the pod ran with them. V(null) if that was not waited for.
      type: float
      sample: 0.214
    error:
      description: Why the router failed. Empty if it did not.
      type: str
"""

from ansible_collections.egress.router.plugins.module_utils._kubernetes.backends import change_rules
from ansible_collections.egress.router.plugins.module_utils._kubernetes.module import EgressModule
from ansible_collections.egress.router.plugins.module_utils._kubernetes.redirect_rules import (
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
        "source_ip": {"type": "str"},
    }
    router = {
        "name": {"type": "str", "required": True},
        "namespace": {"type": "str", "required": True},
        "backend": {"type": "str", "choices": ["agent", "egress_router_cr"], "default": "agent"},
        "redirect_rules": {"type": "list", "elements": "dict", "options": rule},
        "fallback_ip": {"type": "str"},
        "text": {"type": "str"},
    }
    alternatives = [("text", "redirect_rules"), ("text", "fallback_ip")]
    module = EgressModule(
        argument_spec={
            "routers": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": router,
                "mutually_exclusive": alternatives,
            },
            "defaults": {"type": "dict"},
            "state": {"type": "str", "choices": ["replaced", "merged", "deleted"], "default": "replaced"},
            "after_deploy": {"type": "bool", "default": False},
            "wait": {"type": "bool", "default": True},
            "wait_timeout": {"type": "int", "default": 30},
        }
    )
    params = module.params
    with module.errors():
        requests = read_requests(params["routers"], params["state"], params["after_deploy"])
        wait_seconds = params["wait_timeout"] if params["wait"] else None
        outcomes = change_rules(module.connect(), requests, wait_seconds) if requests else []
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
