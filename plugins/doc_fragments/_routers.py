# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  routers:
    description:
      - The routers. The variable C(egress_routers) of the collection's roles is this list.
      - The whole list is checked before anything is changed, and all of its problems are reported at once.
      - Numbers and booleans may be given as text, as surveys do. C(omit) leaves out a key or an item anywhere in the list. A key
        that is V(null) or empty has no value, even if O(defaults) has one.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - Name of the router, and of the objects that are created for it. Up to 63 lowercase letters, digits and hyphens.
        type: str
        required: true
      namespace:
        description:
          - Namespace of the router. Required here or in O(defaults).
        type: str
      state:
        description:
          - With V(present) the router exists, with V(absent) it does not.
          - An absent router needs nothing but its name and namespace. Keep its O(routers[].addresses) where OpenStack's
            allowed address pairs have to be removed with it.
        type: str
        choices: [present, absent]
        default: present
      backend:
        description:
          - What makes the router's pod.
          - With V(agent), it is a pod of this collection's image, which works on every cluster.
          - With V(egress_router_cr), it is the pod that OpenShift's Cluster Network Operator makes of an EgressRouter resource, on
            clusters with OVN-Kubernetes. There is one such router in a namespace.
          - The operator and its CNI plugin do less. Such a router has one IPv4 address with a gateway, IPv4 destinations and
            one pod. It has no O(routers[].routes), O(routers[].fallback_ip), O(routers[].mac) and O(routers[].mtu), and no
            O(routers[].macvlan_mode) but V(bridge). The list is refused if it asks for more. Nor has it names of rules, they are
            left out.
          - O(routers[].master) has no effect. The router is attached to the interface of the node's default route, a warning says so.
          - Every change of its addresses and rules restarts the pod, and connections break.
          - A router changes its backend by being removed with the old one and created with the new one.
        type: str
        choices: [agent, egress_router_cr]
        default: agent
      addresses:
        description:
          - The addresses that remote servers see, up to 16 of one or both families. They must be reserved for the router, nothing
            else may use them.
          - The first one of a family is the address of all connections, unless O(routers[].redirect_rules[].source_ip) or
            O(routers[].source) says otherwise. All of a family are in one subnet and have one gateway and the same MAC address.
          - A change restarts the pods. An address that rules on the cluster leave from cannot be removed. Change the rules first.
          - Required unless O(routers[].state=absent).
        type: list
        elements: dict
        default: []
        suboptions:
          ip:
            description:
              - The address with the prefix length of its subnet, for example V(198.51.100.50/24).
              - Required without O(routers[].addresses[].pool). With it, the address of the pool that the router is to get. If another
                one has it, the run fails.
            type: str
          gateway:
            description:
              - The next hop to servers outside the subnet. An IPv6 gateway may be link-local.
              - If left out, the router reaches only servers in the subnet. Further addresses of a family have that of the first one.
            type: str
          pool:
            description:
              - The name of a pool of C(egress_router_pools) that the address comes from. Prefix length and gateway are those of the pool.
              - The module M(egress.router.address_pool) allocates it, and fills in O(routers[].addresses[].ip) and
                O(routers[].addresses[].gateway) for all other modules, which do not know pools. The playbooks see to that.
              - Each entry gets an address of its own. They keep their order, so that the first one stays the default.
            type: str
      routes:
        description:
          - Networks of servers that another router of the egress network reaches. All other servers outside the subnets of
            O(routers[].addresses) are reached by O(routers[].addresses[].gateway).
          - A router whose gateway of a route does not answer serves all the same. RV(egress.router.router_info#module:routers[].routes_error)
            and a metric say so.
        type: list
        elements: dict
        default: []
        suboptions:
          destination:
            description: The network in canonical form, for example V(203.0.113.0/24). A single server is V(203.0.113.7/32).
            type: str
            required: true
          gateway:
            description:
              - The next hop, an address in the subnet of O(routers[].addresses) of the same family. An IPv6 gateway may be
                link-local.
            type: str
            required: true
      source:
        description:
          - From which of its O(routers[].addresses) connections leave whose rule has no O(routers[].redirect_rules[].source_ip).
          - With V(first), from the first one of the family.
          - With V(spread), from all of the family, chosen by the client's address and port. To one address and port of a server, the
            router then has the connections of each address. The servers have to accept all of them.
          - With V(spread), no rule can have a O(routers[].redirect_rules[].source_ip).
          - A change restarts the pods.
        type: str
        choices: [first, spread]
        default: first
      mac:
        description:
          - The MAC address that goes with O(routers[].addresses).
          - If left out, it is derived from the first address, C(02:e6:) followed by the four bytes of the first IPv4 address. It is
            the same on every node and after every restart.
        type: str
      master:
        description:
          - The nodes' network interface that is attached to the egress network, the parent of the router's macvlan interface.
            It may be an alternative name of the interface (altname), if the CNI plugin of the cluster knows these.
          - If left out, the CNI plugin takes the interface of the node's default route.
        type: str
      macvlan_mode:
        description: Mode of the macvlan interface.
        type: str
        choices: [bridge, private, vepa, passthru]
        default: bridge
      mtu:
        description:
          - MTU of the macvlan interface in bytes, from V(576) to V(9216), with IPv6 at least V(1280).
          - If left out, it is that of O(routers[].master).
        type: int
      redirect_rules:
        description:
          - Where connections to the router's Service go, by port. Connections to other ports go to O(routers[].fallback_ip).
          - A port may be given once for each protocol and address family. Ports 29797/TCP, for probes and metrics, 29798/UDP, for
            messages between pods, and 29799/UDP, for connections that pods relay to one another, are the router's own, unless
            O(routers[].backend=egress_router_cr).
          - A router takes up to 5000 rules.
          - Rules are changed while the router runs, without a restart, unless O(routers[].backend=egress_router_cr).
        type: list
        elements: dict
        default: []
        suboptions:
          port:
            description:
              - Port that clients connect to, from V(1) to V(65535).
              - Without quotes, YAML reads C(0443) as 291 and C(22:22) as 1342.
            type: int
            required: true
          protocol:
            description: Protocol. Lowercase is accepted too.
            type: str
            choices: [TCP, UDP, SCTP]
            default: TCP
          destination_ip:
            description:
              - IP address of the server. Host names and networks are not supported.
              - Nor are addresses that belong to no single remote server, such as loopback, link-local, multicast and reserved
                ones, IPv4 addresses in IPv6 form, and the segment's own and broadcast address.
            type: str
            required: true
          target_port:
            description: Port of the server. If left out, it is O(routers[].redirect_rules[].port).
            type: int
          name:
            description: Name of the rule in listings and metrics. Up to 63 lowercase letters, digits and hyphens.
            type: str
          source_ip:
            description:
              - The address of O(routers[].addresses) that connections of the rule leave from, of the family of
                O(routers[].redirect_rules[].destination_ip) and without prefix length.
              - If left out, O(routers[].source) says which.
            type: str
      fallback_ip:
        description:
          - IP address of the server for every port without a rule. The port is kept.
          - If left out, connections to other ports are refused.
        type: str
      replicas:
        description:
          - Number of pods, from V(1) to V(100). One of them serves, the others are standbys, of which one is its successor.
          - The only pod of a router leaves a node that is lost after 30 seconds, unless O(routers[].tolerations) say for how long
            C(node.kubernetes.io/not-ready) and C(node.kubernetes.io/unreachable) are tolerated.
        type: int
        default: 1
      failover:
        description:
          - How the pods of a router stand by for each other. The defaults are good for most clusters.
          - It cannot be used with O(routers[].backend=egress_router_cr), which has one pod.
          - A change restarts the pods.
        type: dict
        default: {}
        suboptions:
          beat_ms:
            description: How often the serving pod sends a message to its successor, in milliseconds, from V(20) to V(1000).
            type: int
            default: 100
          promise_ms:
            description:
              - For how long the successor promises with each answer that it does not take over, in milliseconds. It takes over about
                that long after the last message of a serving pod that is lost.
              - At least five times O(routers[].failover.beat_ms), and at most a fifth of O(routers[].failover.lease_seconds).
            type: int
            default: 600
          lease_seconds:
            description:
              - How long the router's Lease lasts without renewal, in seconds, from V(3) to V(300). It counts where no successor
                answers, and for a router with one pod.
              - It is renewed three times in that time.
            type: int
            default: 15
          relay_seconds:
            description:
              - For how long connections that are open at a planned move go on through the pod that served before, in seconds, from V(0)
                to V(3600). A move is planned if a pod is deleted, drained or updated, or is asked to hand over.
              - A pod that ends waits for that long at most, and only as long as such connections are open. Its
                C(terminationGracePeriodSeconds) follows.
              - With V(0), or where the kernel of a node cannot do it, those connections are reset at the move.
              - A router with one pod has none that could go on, so this has no effect there.
            type: int
            default: 60
          without_api:
            description:
              - What a router with one pod does while it cannot reach the API server.
              - With V(serve), it goes on for ever. A new pod of it takes over only where nobody on the egress network answers for the
                address.
              - With V(stop), it stops when its Lease ends. This is for networks on which a new pod cannot ask for the address, because
                the hypervisor drops its frames, as OpenStack's port security does.
            type: str
            choices: [serve, stop]
            default: serve
      disruption_budget:
        description:
          - Whether the router has a PodDisruptionBudget, with which a drain evicts one of its pods at a time, and the next one only when
            the one before is ready elsewhere.
          - If left out, a router has one if O(routers[].replicas) is more than V(1). With one replica it would only prevent drains, so
            V(true) is refused.
          - It cannot be V(true) with O(routers[].backend=egress_router_cr).
        type: bool
      monitoring:
        description:
          - Whether the router has a PodMonitor, with which the Prometheus Operator reads the metrics of its pods. The API server has to know
            that kind.
          - It is for O(routers[].backend=agent) alone, as is O(routers[].monitoring_labels).
        type: bool
        default: false
      monitoring_labels:
        description:
          - Labels of the PodMonitor, in addition to those of the collection, which cannot be set. Some installations of Prometheus read
            PodMonitors with a certain label alone.
        type: dict
        default: {}
      image:
        description:
          - The router's image, built from C(images/router) of the collection's repository.
          - Required here or in O(defaults), unless O(routers[].state=absent) or O(routers[].backend=egress_router_cr), where it is the
            operator's.
        type: str
      node_selector:
        description: Labels of the nodes that the router may run on. If left out, it may run on any node with Linux.
        type: dict
        default: {}
      tolerations:
        description: Tolerations of the router's pods, with the keys of the Kubernetes API.
        type: list
        elements: dict
        default: []
        suboptions:
          key:
            description: Key of the taint. If left out, any key, which takes the operator V(Exists).
            type: str
          operator:
            description: How the taint's value is compared. Kubernetes takes V(Equal) if it is left out.
            type: str
            choices: [Exists, Equal]
          value:
            description: Value of the taint.
            type: str
          effect:
            description: Effect of the taint. If left out, any effect.
            type: str
            choices: [NoSchedule, PreferNoSchedule, NoExecute]
          tolerationSeconds:
            description: For how many seconds V(NoExecute) is tolerated. If left out, for ever.
            type: int
      resources:
        description:
          - Requests and limits of the router's container, with the keys of the Kubernetes API.
          - What is given replaces the default as a whole.
          - With O(routers[].backend=egress_router_cr) the default is the operator's request of 100m CPU, which cannot be changed.
        type: dict
        default:
          requests: {cpu: 100m, memory: 96Mi}
          limits: {memory: 256Mi}
      pod_labels:
        description:
          - Labels of the router's pods, in addition to those of the collection, which cannot be set. A change restarts the pods,
            as that of all keys of the pods does.
        type: dict
        default: {}
      pod_annotations:
        description: Annotations of the router's pods, in addition to those of the collection, which cannot be set.
        type: dict
        default: {}
      priority_class_name:
        description:
          - Name of the PriorityClass of the router's pods. If left out, it is the cluster's default.
        type: str
      runtime_class_name:
        description:
          - Name of the RuntimeClass of the router's pods. If left out, it is the default of the node's container runtime.
          - The runtime must let the pod use the node's kernel, with its nftables and the macvlan interface. Sandboxes such as gVisor
            do not.
        type: str
      image_pull_secrets:
        description:
          - Names of the Secrets in the router's namespace with which nodes pull O(routers[].image).
          - The collection neither creates nor reads them.
        type: list
        elements: str
        default: []
      host_users:
        description:
          - With V(false) the router's pod gets a user namespace of its own, so that root in the pod is nobody on the node.
          - The cluster has to support that. Kubernetes does by default since 1.33, with a container runtime that does.
          - If left out, it is the cluster's default.
        type: bool
      security_context_constraints:
        description:
          - Name of the SecurityContextConstraints that the router's pods are pinned to on OpenShift. The router's ServiceAccount
            is let use them.
          - If left out, it is V(egress-router) on a cluster that serves C(security.openshift.io). Other clusters do not know such
            constraints, and the name does not matter there.
          - The manifests that the role P(egress.router.render#role) writes have it only if it is given, because nothing is asked
            of a cluster.
          - If there are no constraints of the name, M(egress.router.router) creates them, which only a cluster-admin may. Those of
            somebody else, or of OpenShift itself, are used as they are.
        type: str
      service:
        description: The Service through which clients reach the router.
        type: dict
        default: {}
        suboptions:
          name:
            description:
              - Name of the Service. Up to 63 lowercase letters, digits and hyphens, starting with a letter.
              - If left out, it is O(routers[].name).
            type: str
          headless:
            description:
              - Whether the Service has no cluster IP, so that its name resolves to the address of the serving pod.
              - Clients then reach every port through it, including those that only O(routers[].fallback_ip) serves.
            type: bool
            default: false
          extra_ports:
            description:
              - Further ports of the Service, for connections that O(routers[].fallback_ip) serves. The ports of
                O(routers[].redirect_rules) are there without it.
              - A Service with a cluster IP forwards only the ports that it names.
            type: list
            elements: dict
            default: []
            suboptions:
              port:
                description: The port, from V(1) to V(65535).
                type: int
                required: true
              protocol:
                description: Protocol. Lowercase is accepted too.
                type: str
                choices: [TCP, UDP, SCTP]
                default: TCP
          annotations:
            description: Annotations of the Service.
            type: dict
            default: {}
          labels:
            description: Labels of the Service, in addition to those of the collection, which cannot be set.
            type: dict
            default: {}
  defaults:
    description:
      - What every router has unless it says otherwise. The variable C(egress_router_defaults) of the collection's roles.
      - The keys are those of O(routers) that do not identify a router, which are O(routers[].backend),
        O(routers[].disruption_budget), O(routers[].failover), O(routers[].fallback_ip), O(routers[].host_users),
        O(routers[].image), O(routers[].image_pull_secrets), O(routers[].macvlan_mode), O(routers[].master),
        O(routers[].monitoring), O(routers[].monitoring_labels), O(routers[].mtu),
        O(routers[].namespace), O(routers[].node_selector), O(routers[].pod_annotations), O(routers[].pod_labels),
        O(routers[].priority_class_name), O(routers[].redirect_rules), O(routers[].replicas), O(routers[].resources),
        O(routers[].routes), O(routers[].runtime_class_name), O(routers[].security_context_constraints), O(routers[].service),
        O(routers[].source),
        O(routers[].state) and O(routers[].tolerations).
      - Dictionaries are merged, a router's own keys win. Lists are replaced.
      - A router with O(routers[].backend=egress_router_cr) takes none of those keys from here that say how the pods of the other backend
        are made and monitored, which are O(routers[].host_users), O(routers[].image), O(routers[].image_pull_secrets),
        O(routers[].monitoring), O(routers[].monitoring_labels), O(routers[].runtime_class_name) and O(routers[].security_context_constraints).
    type: dict
    default: {}
  checked:
    description:
      - Set by the collection itself, never by users. The list of routers after it was read and checked.
    type: str
"""
