#!/usr/bin/python
# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: drill
short_description: Prove that egress routers fail over, and measure for how long clients wait
version_added: 0.1.0
author:
  - egress.router maintainers (@egress-router)
description:
  - Replaces the pod that serves a router by the one that stands by, in the ways that O(events) names, while a client connects
    all the time. Returns for how long no connection succeeded.
  - Routers are drilled one after the other. For each of them a client pod is started, which runs C(egress-router watch). It connects
    to the first TCP port and the first UDP port of the router's Service and is deleted at the end, whatever happens. It has no
    capabilities, no token and no writable file system, and meets the restricted Pod Security Standard.
  - Each event begins when all connections of the client succeed, and ends when another pod serves, a pod stands by again and all
    connections succeed again. If it does not come to its end, nothing more is done to any router.
  - All routers are looked at first. One that cannot be drilled is refused before anything is touched.
options:
  events:
    description:
      - What is done to the pod that serves, in this order.
      - With V(hand_over), it is asked to hand over, as M(egress.router.hand_over) does.
      - With V(pod_deleted), it is deleted.
      - With V(node_drained), its node is cordoned and it is evicted as C(kubectl drain) does, and no other pod of the node. When
        another pod serves, the node is uncordoned, also after a failure, unless it was cordoned before. A Ctrl-C waits for that.
    type: list
    elements: str
    choices: [hand_over, pod_deleted, node_drained]
    default: [hand_over]
  max_seconds:
    description:
      - For how many seconds of an event connections may fail, and an established one may wait.
      - On an idle cluster these events take 0.2 seconds. The default leaves time for the proxies of a busy one to learn the new endpoint.
    type: float
    default: 1.0
  single_replica:
    description:
      - Whether to drill routers with one replica as well. Their clients wait until a new pod serves.
      - The event V(hand_over) is not possible with them.
    type: bool
    default: false
  established:
    description:
      - How many TCP connections to keep open and in use, to see whether they break and how long they wait.
      - The server of the first TCP port has to send back what it receives, as C(egress-router observe) does.
      - They are open before the first event and break when O(routers[].failover.relay_seconds) are over after one, so these have to
        be longer than all events of a router take together.
    type: int
    default: 0
  interval_ms:
    description:
      - How many milliseconds apart the client's attempts to connect are. With the default, the servers get 100 connections per second
        and as many datagrams.
    type: int
    default: 10
  namespace:
    description: Namespace of the client pods. If left out, it is that of each router. Its network policies apply to the connections.
    type: str
  image:
    description: The image of the client pods. If left out, it is that of each router.
    type: str
  node_selector:
    description: Labels of the nodes that can run the client pods.
    type: dict
  wait_timeout:
    description:
      - How many seconds to wait at most, for each of the client pod to start, another pod to serve, a pod to stand by again, and
        connections to succeed.
    type: int
    default: 60
extends_documentation_fragment:
  - egress.router._attributes
  - egress.router._attributes.action_group
  - egress.router._k8s_auth
  - egress.router._routers
attributes:
  check_mode:
    support: full
    details:
      - Reads the cluster, refuses what cannot be drilled, and returns RV(planned). Starts no client.
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - Each run replaces pods.
seealso:
  - module: egress.router.hand_over
  - name: Failover
    description: What a drill proves, with an example.
    link: https://example.com/egress.router/blob/main/docs/failover.md
"""

EXAMPLES = r"""
- name: Prove that a router fails over
  egress.router.drill:
    routers: "{{ egress_routers }}"
    defaults: "{{ egress_router_defaults }}"
    events: [hand_over, pod_deleted, node_drained]
  register: drill
  failed_when: not drill.report.ok

- name: Show the table
  ansible.builtin.debug:
    msg: "{{ drill.report.table }}"
"""

RETURN = r"""
planned:
  description: What would be done, in this order. Empty unless in check mode.
  returned: success
  type: list
  elements: dict
  contains:
    router:
      description: Name of the router.
      type: str
    namespace:
      description: Its namespace.
      type: str
    event:
      description: One of O(events).
      type: str
    before:
      description: The C(pod) that serves, its C(node), and its C(term).
      type: dict
    after:
      description: The same of the pod that is expected to serve. V(null) if it does not exist yet.
      type: dict
    summary:
      description: The same in one sentence.
      type: str
      sample: >-
        router payments/billing-db, pod_deleted: delete pod billing-db-7d9c-x; then pod billing-db-7d9c-y on node worker-2 is to serve
report:
  description: What came of it. V(null) in check mode.
  returned: success
  type: dict
  contains:
    ok:
      description: Whether all events went as they should.
      type: bool
    summary:
      description: How many did, in one sentence.
      type: str
      sample: "1 router: 3 passed, 0 failed"
    problems:
      description: A sentence for each thing that did not.
      type: list
      elements: str
    table:
      description: The report as lines for people.
      type: list
      elements: str
    routers:
      description: The routers, in the order of the list.
      type: list
      elements: dict
      contains:
        router:
          description: Name of the router.
          type: str
        namespace:
          description: Its namespace.
          type: str
        ok:
          description: Whether all of its events went as they should.
          type: bool
        error:
          description: Why it was not drilled. Empty if it was.
          type: str
        not_run:
          description: Events that were left out after one that did not come to its end.
          type: list
          elements: str
        notes:
          description: What was not measured, such as a UDP port that does not answer the client.
          type: list
          elements: str
        events:
          description: What came of each event.
          type: list
          elements: dict
          contains:
            event:
              description: One of O(events).
              type: str
            ok:
              description: Whether it went as it should.
              type: bool
            problems:
              description: Why it did not.
              type: list
              elements: str
            before:
              description: The C(pod) that served, its C(node), and its C(term).
              type: dict
            after:
              description: The same of the pod that served afterwards. V(null) if none did.
              type: dict
            attempts:
              description: How many connections were attempted.
              type: int
            failed:
              description: How many of them failed.
              type: int
            seconds:
              description: For how long no connection succeeded, to the port for which that took longest.
              type: float
              sample: 0.13
            limit:
              description: O(max_seconds).
              type: float
            lease_seconds:
              description: For how long nobody served, as the pod that served afterwards tells. V(null) if it does not.
              type: float
            cause:
              description: Why that pod took over, in its own words.
              type: str
            targets:
              description:
                - For each port its C(target), C(attempts), C(failed) and C(seconds), and C(gaps) with the C(start) of each in seconds of
                  the client, its C(seconds), and how many attempts C(failed) in it.
              type: list
              elements: dict
            established:
              description:
                - How many connections were C(wanted) and C(broken), and C(stall_seconds), the longest time that one of them waited. V(null)
                  with O(established=0).
              type: dict
            late_seconds:
              description: By how much the client itself was late, because its node was busy.
              type: float
            notice:
              description: The same in one sentence if it may have caused a gap. Empty if not.
              type: str
"""

from ansible_collections.egress.router.plugins.module_utils._drill.run import SPEC, run
from ansible_collections.egress.router.plugins.module_utils._kubernetes.module import EgressModule


def main() -> None:
    module = EgressModule(argument_spec=SPEC)
    with module.errors():
        module.exit_json(**run(module.connect, module.params))


if __name__ == "__main__":
    main()
