#!/usr/bin/python
# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: probe
short_description: Connect from a client pod and return what the far ends saw
version_added: 0.1.0
author:
  - egress.router maintainers (@egress-router)
description:
  - Runs C(egress-router probe) in a pod of its own, returns its results and deletes the pod, whatever happens.
  - The pod has no privilege, no token and no writable file system. It passes the restricted Pod Security Standard.
  - A far end that runs C(egress-router observe) says which source address and port it saw, on the same segment the MAC
    address.
options:
  namespace:
    description: Where the pod runs, and so whose network policies apply to it.
    type: str
    required: true
  image:
    description: The router's image, which has the client in it.
    type: str
    required: true
  targets:
    description: What to connect to, as C(tcp://HOST:PORT), C(udp://HOST:PORT) or C(http://HOST:PORT/PATH).
    type: list
    elements: str
    required: true
  count:
    description: How often to connect to each target.
    type: int
    default: 1
  timeout:
    description: How many seconds one attempt may take.
    type: float
    default: 3
  concurrency:
    description: How many attempts are made at the same time.
    type: int
    default: 8
  hold:
    description: For how many seconds TCP connections are kept open and used, to see whether they are interrupted.
    type: float
  node_selector:
    description: Labels of the nodes that the pod may run on.
    type: dict
  tolerations:
    description: Tolerations of the pod.
    type: list
    elements: dict
  labels:
    description: Further labels of the pod, for example such that a network policy selects it.
    type: dict
  wait_timeout:
    description: How many seconds the pod has from its creation to its end.
    type: int
    default: 120
extends_documentation_fragment:
  - egress.router._attributes
  - egress.router._attributes.action_group
  - egress.router._k8s_auth
attributes:
  check_mode:
    support: full
    details:
      - Nothing is run, RV(results) is empty.
  diff_mode:
    support: N/A
    details:
      - Nothing of the pod is left.
  idempotent:
    support: full
    details:
      - Nothing of the pod is left.
seealso:
  - plugin: egress.router.verify_targets
    plugin_type: filter
  - plugin: egress.router.verify_report
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Ask a server through a router which source it sees
  egress.router.probe:
    namespace: payments
    image: registry.example.com/egress-router:0.1.0
    targets:
      - tcp://billing-db.payments.svc:5432
  register: probe

- name: Show the source
  ansible.builtin.debug:
    msg: "{{ probe.results[0].observed }}"
"""

RETURN = r"""
results:
  description: One for each target, in the order given. Empty in check mode.
  returned: success
  type: list
  elements: dict
  contains:
    target:
      description: The target.
      type: str
      sample: tcp://billing-db.payments.svc:5432
    attempts:
      description: How often it was tried.
      type: int
    connected:
      description: How often it answered.
      type: int
    refused:
      description: How often it refused.
      type: int
    timed_out:
      description: How often nothing came back in time.
      type: int
    failed:
      description: How often something else went wrong.
      type: int
    errors:
      description: What went wrong.
      type: list
      elements: str
    seconds:
      description: C(min), C(median) and C(max) of the attempts that connected.
      type: dict
    observed:
      description:
        - What the far end saw, with C(source_ip), C(source_port), C(source_mac), C(local_ip), C(local_port),
          C(protocol) and C(count). Empty if it does not say.
      type: list
      elements: dict
node:
  description: Node that the client ran on.
  returned: success
  type: str
  sample: worker-1
pod_ips:
  description: Addresses that the client had.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.egress.router.plugins.module_utils._kubernetes.module import EgressModule
from ansible_collections.egress.router.plugins.module_utils._verify.probe import run


def main() -> None:
    module = EgressModule(
        argument_spec={
            "namespace": {"type": "str", "required": True},
            "image": {"type": "str", "required": True},
            "targets": {"type": "list", "elements": "str", "required": True},
            "count": {"type": "int", "default": 1},
            "timeout": {"type": "float", "default": 3},
            "concurrency": {"type": "int", "default": 8},
            "hold": {"type": "float"},
            "node_selector": {"type": "dict"},
            "tolerations": {"type": "list", "elements": "dict"},
            "labels": {"type": "dict"},
            "wait_timeout": {"type": "int", "default": 120},
        }
    )
    with module.errors():
        module.exit_json(changed=False, **run(module.connect(), module.params))


if __name__ == "__main__":
    main()
