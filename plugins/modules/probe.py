#!/usr/bin/python
# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: probe
short_description: Connect from a pod in the cluster and return what the servers saw
version_added: 0.1.0
author:
  - egress.router maintainers (@egress-router)
description:
  - Runs C(egress-router probe) in a pod, returns its results and deletes the pod, whatever happens.
  - The pod has no capabilities, no token and no writable file system. It meets the restricted Pod Security Standard.
  - A server that runs C(egress-router observe) reports the source address and port that it saw, and on the same segment the
    MAC address.
options:
  namespace:
    description: Namespace of the pod. Its network policies apply to the connections.
    type: str
    required: true
  image:
    description: The image of the router, which includes the client.
    type: str
    required: true
  targets:
    description:
      - What to connect to, as C(tcp://HOST:PORT), C(udp://HOST:PORT) or C(http://HOST:PORT/PATH).
      - With a C(4) or C(6) after the protocol, as in C(tcp6://HOST:PORT), the addresses of that family alone are used.
    type: list
    elements: str
    required: true
  count:
    description: How often to connect to each target.
    type: int
    default: 1
  connect_timeout:
    description: How many seconds to wait for one connection.
    type: float
    default: 3
  concurrency:
    description: How many connections to make at the same time.
    type: int
    default: 8
  hold:
    description: How many seconds to keep TCP connections open and in use, to see whether they are interrupted.
    type: float
  image_pull_secrets:
    description: Names of the Secrets in O(namespace) with which nodes pull O(image). What does not exist is left out.
    type: list
    elements: str
  node_selector:
    description: Labels of the nodes that can run the pod.
    type: dict
  tolerations:
    description: Tolerations of the pod.
    type: list
    elements: dict
  labels:
    description: More labels for the pod, for example those that a network policy selects.
    type: dict
  wait_timeout:
    description: How many seconds to wait for the pod to finish. The image may have to be pulled.
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
      - Runs nothing and returns no RV(results).
  diff_mode:
    support: N/A
    details:
      - The pod is deleted.
  idempotent:
    support: full
    details:
      - The pod is deleted.
seealso:
  - plugin: egress.router.verify_plan
    plugin_type: filter
  - plugin: egress.router.verify_report
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Ask a server which source address it sees through a router
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
  description: One entry for each target, in the same order. Empty in check mode.
  returned: success
  type: list
  elements: dict
  contains:
    target:
      description: The target.
      type: str
      sample: tcp://billing-db.payments.svc:5432
    attempts:
      description: How many connections were attempted.
      type: int
    connected:
      description: How many succeeded.
      type: int
    refused:
      description: How many were refused.
      type: int
    timed_out:
      description: How many got no answer in time.
      type: int
    failed:
      description: How many failed for another reason.
      type: int
    errors:
      description: The reasons.
      type: list
      elements: str
    seconds:
      description: C(min), C(median) and C(max) of the connections that succeeded.
      type: dict
    observed:
      description:
        - What the server saw, with C(source_ip), C(source_port), C(source_mac), C(local_ip), C(local_port),
          C(protocol) and C(count). Empty if it does not report that.
      type: list
      elements: dict
node:
  description: The node that the pod ran on.
  returned: success
  type: str
  sample: worker-1
pod_ips:
  description: The addresses of the pod.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.egress.router.plugins.module_utils._kubernetes.module import EgressModule
from ansible_collections.egress.router.plugins.module_utils._verify.probe import SPEC, run


def main() -> None:
    module = EgressModule(argument_spec=SPEC)
    with module.errors():
        module.exit_json(changed=False, **run(module.connect(), module.params))


if __name__ == "__main__":
    main()
