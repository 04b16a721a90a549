# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The model of the routers: every validation with its sentence, all of them at once, and what is accepted."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.egress.router.plugins.doc_fragments._routers import ModuleDocFragment
from ansible_collections.egress.router.plugins.module_utils._contract.failover import Failover
from ansible_collections.egress.router.plugins.module_utils._contract.ports import OWN_PORTS
from ansible_collections.egress.router.plugins.module_utils._router import checked, redirects
from ansible_collections.egress.router.plugins.module_utils._router.router import Router
from ansible_collections.egress.router.plugins.module_utils._router.routers import load

DEFAULTS = {"image": "registry.example.com/egress-router:0.1.0"}


def spec(**changes: Any) -> dict[str, Any]:
    """A good router with changes; a value of None takes the key away."""
    router = {
        "name": "billing-db",
        "namespace": "payments",
        "addresses": [{"ip": "198.51.100.50/24", "gateway": "198.51.100.1"}],
        "redirect_rules": [{"port": 5432, "protocol": "TCP", "destination_ip": "203.0.113.10"}],
        **changes,
    }
    return {key: value for key, value in router.items() if value is not None}


def sentences(data: Any, defaults: Any = None) -> list[str]:
    return [str(problem) for problem in load(data, DEFAULTS if defaults is None else defaults)[1]]


def good(**changes: Any) -> Router:
    routers, problems = load([spec(**changes)], DEFAULTS)
    assert problems == []
    return routers[0]


def rule(**changes: Any) -> list[dict[str, Any]]:
    return [{"port": 5432, "destination_ip": "203.0.113.10", **changes}]


IPV6 = {"ip": "2001:db8::50/64", "gateway": "2001:db8::1"}
V4 = {"ip": "198.51.100.50/24", "gateway": "198.51.100.1"}
SECOND = {"ip": "198.51.100.51/24", "gateway": "198.51.100.1"}

# What is wrong -> what is said after "router payments/billing-db, ".
OF_REDIRECT_IMAGE = (
    "redirect_rules: these are lines of text, as the ConfigMap has them and the EGRESS_DESTINATION of OpenShift's redirect image: "
    "write each as a dictionary, such as {port: 80, protocol: TCP, destination_ip: 203.0.113.11}, and the fallback as fallback_ip"
)
WRONG: list[tuple[str, dict[str, Any], list[str]]] = [
    ("no addresses", {"addresses": None, "redirect_rules": None},
     ["addresses: is required: for example [{ip: 198.51.100.50/24, gateway: 198.51.100.1}]"]),
    ("no prefix", {"addresses": [{"ip": "198.51.100.50", "gateway": "198.51.100.1"}]},
     ["addresses[0].ip: '198.51.100.50' is not an IP address with a prefix length: write it as 198.51.100.50/24"]),
    ("no prefix, IPv6", {"addresses": [{"ip": "2001:db8::50"}]},
     ["addresses[0].ip: '2001:db8::50' is not an IP address with a prefix length: write it as 2001:db8::50/64"]),
    ("no ip", {"addresses": [{"gateway": "198.51.100.1"}]}, ["addresses[0].ip: is required"]),
    ("no address", {"addresses": [{"ip": "198.51.100.500/24"}]},
     ["addresses[0].ip: '198.51.100.500/24' is not an IP address with a prefix length: write it as 198.51.100.50/24"]),
    ("netmask", {"addresses": [{"ip": "198.51.100.180 255.255.255.0"}], "redirect_rules": None},
     ["addresses[0].ip: '198.51.100.180 255.255.255.0' is not an IP address with a prefix length: "
      "write it as 198.51.100.180/24"]),
    ("prefix too long", {"addresses": [{"ip": "198.51.100.50/33"}]},
     ["addresses[0].ip: '198.51.100.50/33' is not an IP address with a prefix length: write it as 198.51.100.50/24"]),
    ("network address", {"addresses": [{"ip": "198.51.100.0/24"}]},
     ["addresses[0].ip: '198.51.100.0/24' is the address of the network 198.51.100.0/24: "
      "choose the address of a host"]),
    ("broadcast address", {"addresses": [{"ip": "198.51.100.255/24"}]},
     ["addresses[0].ip: '198.51.100.255/24' is the broadcast address of the network 198.51.100.0/24: "
      "choose the address of a host"]),
    ("anycast address", {"addresses": [{"ip": "2001:db8::/64"}]},
     ["addresses[0].ip: '2001:db8::/64' is the address of the network 2001:db8::/64: "
      "choose the address of a host"]),
    ("loopback", {"addresses": [{"ip": "127.0.0.1/8"}]},
     ["addresses[0].ip: '127.0.0.1/8' is a loopback, link-local, multicast or unspecified address: "
      "choose the address of a host"]),
    ("link-local", {"addresses": [{"ip": "fe80::1/64"}]},
     ["addresses[0].ip: 'fe80::1/64' is a loopback, link-local, multicast or unspecified address: "
      "choose the address of a host"]),
    ("an address twice", {"addresses": [V4, SECOND, V4]},
     ["addresses[2].ip: '198.51.100.50/24' is the address '198.51.100.50/24' again: remove one of the two"]),
    ("two subnets", {"addresses": [V4, {"ip": "198.51.101.51/24"}]},
     ["addresses[1].ip: '198.51.101.51/24' is not in 198.51.100.0/24 as '198.51.100.50/24' is: choose one of that subnet, of which "
      "all IPv4 addresses are"]),
    ("two prefix lengths", {"addresses": [V4, {"ip": "198.51.100.51/25"}]},
     ["addresses[1].ip: '198.51.100.51/25' is not in 198.51.100.0/24 as '198.51.100.50/24' is: choose one of that subnet, of which "
      "all IPv4 addresses are"]),
    ("two gateways", {"addresses": [IPV6, {"ip": "2001:db8::51/64", "gateway": "fe80::1"}], "redirect_rules": None},
     ["addresses[1].gateway: '2001:db8::51/64' has another gateway than '2001:db8::50/64': give both the same, a router has one for IPv6"]),
    ("the gateway as an address", {"addresses": [V4, {"ip": "198.51.100.1/24"}]},
     ["addresses[1].ip: '198.51.100.1/24' is the gateway of '198.51.100.50/24': choose another address"]),
    ("a server is a further address", {"addresses": [V4, SECOND], "redirect_rules": rule(destination_ip="198.51.100.51")},
     ["redirect_rules: port 5432/TCP: destination '198.51.100.51' is the router itself: set the address of the server"]),
    ("17 addresses", {"addresses": [{"ip": f"198.51.100.{host}/24", "gateway": "198.51.100.1"} for host in range(50, 67)]},
     ["addresses: 17 addresses are more than the 16 of one router, which are asked for, announced and watched one by one whenever a "
      "pod takes over: spread them over several routers"]),
    ("a source that is none of the router's", {"addresses": [V4, SECOND], "redirect_rules": rule(source_ip="198.51.100.52")},
     ["redirect_rules: port 5432/TCP: source_ip '198.51.100.52' is not an address of the router: choose one of 198.51.100.50, "
      "198.51.100.51, or add it to addresses first"]),
    ("a source of the other family", {"addresses": [V4, IPV6], "redirect_rules": rule(source_ip="2001:db8::50")},
     ["redirect_rules[0].source_ip: '2001:db8::50' is IPv6 and the destination is IPv4: set an address of the destination's family"]),
    ("a source with a prefix length", {"redirect_rules": rule(source_ip="198.51.100.50/24")},
     ["redirect_rules[0].source_ip: '198.51.100.50/24' is not an IP address (host names and networks are not supported)"]),
    ("a link-local source", {"addresses": [IPV6], "redirect_rules": rule(destination_ip="2001:db8:1::1", source_ip="fe80::1")},
     ["redirect_rules[0].source_ip: 'fe80::1' is link-local, which no server beyond the segment can answer: set one of the router's "
      "addresses"]),
    ("an IPv6 source and rule on an IPv4 router", {"redirect_rules": rule(destination_ip="2001:db8:1::1", source_ip="2001:db8::50")},
     ["redirect_rules: port 5432/TCP: destination '2001:db8:1::1' is IPv6 and the router has no IPv6 address: add one to addresses",
      "redirect_rules: port 5432/TCP: source_ip '2001:db8::50' is not an address of the router: choose an IPv6 address, or add it to "
      "addresses first"]),
    ("spread and a source", {"addresses": [V4, SECOND], "source": "spread", "redirect_rules": rule(source_ip="198.51.100.51")},
     ["redirect_rules: port 5432/TCP: source_ip '198.51.100.51' cannot be used with source 'spread', which uses all addresses: "
      "remove one of the two"]),
    ("no such source", {"source": "spred"}, ["source: 'spred' is not one of first, spread: did you mean spread?"]),
    ("gateway outside", {"addresses": [{"ip": "198.51.100.50/24", "gateway": "198.51.101.1"}], "redirect_rules": None},
     ["addresses[0].gateway: '198.51.101.1' is outside the subnet 198.51.100.0/24: choose a gateway in it"]),
    ("gateway itself", {"addresses": [{"ip": "198.51.100.50/24", "gateway": "198.51.100.50"}], "redirect_rules": None},
     ["addresses[0].gateway: '198.51.100.50' is the router's own address: set the address of the next hop"]),
    ("gateway broadcast",
     {"addresses": [{"ip": "198.51.100.50/24", "gateway": "198.51.100.255"}], "redirect_rules": None},
     ["addresses[0].gateway: '198.51.100.255' is the broadcast address of the network 198.51.100.0/24: "
      "set the address of the next hop"]),
    ("gateway family", {"addresses": [{"ip": "198.51.100.50/24", "gateway": "2001:db8::1"}], "redirect_rules": None},
     ["addresses[0].gateway: '2001:db8::1' is IPv6 and the address is IPv4"]),
    ("gateway with prefix",
     {"addresses": [{"ip": "198.51.100.50/24", "gateway": "198.51.100.1/24"}], "redirect_rules": None},
     ["addresses[0].gateway: '198.51.100.1/24' is not an IP address: write it without a prefix length"]),
    ("no gateway", {"addresses": [{"ip": "198.51.100.50/24"}], "fallback_ip": "203.0.113.99"},
     ["redirect_rules: port 5432/TCP: destination '203.0.113.10' is outside 198.51.100.0/24 and "
      "198.51.100.50/24 has no gateway: add a gateway or a route",
      "fallback_ip: destination '203.0.113.99' is outside 198.51.100.0/24 and 198.51.100.50/24 has no "
      "gateway: add a gateway or a route"]),
    ("route to nothing", {"routes": [{"destination": "10.1", "gateway": "198.51.100.2"}]},
     ["routes[0].destination: '10.1' is not a network in canonical form: write it as 203.0.113.0/24"]),
    ("route to a host's network", {"routes": [{"destination": "192.0.2.7/24", "gateway": "198.51.100.2"}]},
     ["routes[0].destination: '192.0.2.7/24' is not a network in canonical form: write it as 192.0.2.0/24"]),
    ("route to an address", {"routes": [{"destination": "192.0.2.7", "gateway": "198.51.100.2"}]},
     ["routes[0].destination: '192.0.2.7' is not a network in canonical form: write it as 192.0.2.7/32"]),
    ("route with a netmask", {"routes": [{"destination": "192.0.2.0/255.255.255.0", "gateway": "198.51.100.2"}]},
     ["routes[0].destination: '192.0.2.0/255.255.255.0' is not a network in canonical form: write it as 192.0.2.0/24"]),
    ("route for everything", {"routes": [{"destination": "0.0.0.0/0", "gateway": "198.51.100.2"}]},
     ["routes[0].destination: '0.0.0.0/0' is every IPv4 address: set gateway of the router's IPv4 address instead"]),
    ("route for every IPv6 address", {"addresses": [V4, IPV6], "routes": [{"destination": "::/0", "gateway": "fe80::2"}]},
     ["routes[0].destination: '::/0' is every IPv6 address: set gateway of the router's IPv6 address instead"]),
    ("route of another family", {"routes": [{"destination": "2001:db8:9::/48", "gateway": "fe80::2"}]},
     ["routes[0].destination: '2001:db8:9::/48' is IPv6 and the router has no IPv6 address: add one to addresses"]),
    ("route to the segment", {"routes": [{"destination": "198.51.100.128/25", "gateway": "198.51.100.2"}]},
     ["routes[0].destination: '198.51.100.128/25' is in the router's own subnet 198.51.100.0/24, whose hosts are reached "
      "directly: remove the route"]),
    ("route to a group", {"routes": [{"destination": "239.0.0.0/8", "gateway": "198.51.100.2"}]},
     ["routes[0].destination: '239.0.0.0/8' has no remote servers, it is a multicast address: remove the route"]),
    ("route twice", {"routes": [{"destination": "192.0.2.0/24", "gateway": f"198.51.100.{host}"} for host in (2, 3)]},
     ["routes[1].destination: '192.0.2.0/24' is in the list twice: remove one of the two"]),
    ("route's gateway with a prefix length", {"routes": [{"destination": "192.0.2.0/24", "gateway": "198.51.100.2/24"}]},
     ["routes[0].gateway: '198.51.100.2/24' is not an IP address: write it without a prefix length"]),
    ("route's gateway of another family",
     {"addresses": [V4, IPV6], "routes": [{"destination": "192.0.2.0/24", "gateway": "2001:db8::2"}]},
     ["routes[0].gateway: '2001:db8::2' is IPv6 and the destination is IPv4"]),
    ("route's gateway elsewhere", {"routes": [{"destination": "192.0.2.0/24", "gateway": "198.51.101.2"}]},
     ["routes[0].gateway: '198.51.101.2' is outside the subnet 198.51.100.0/24: choose a gateway in it"]),
    ("route by the router itself", {"routes": [{"destination": "192.0.2.0/24", "gateway": "198.51.100.50"}]},
     ["routes[0].gateway: '198.51.100.50' is the router's own address: set the address of the next hop"]),
    ("route by everybody", {"routes": [{"destination": "192.0.2.0/24", "gateway": "198.51.100.255"}]},
     ["routes[0].gateway: '198.51.100.255' is the broadcast address of the network 198.51.100.0/24: set the address of the "
      "next hop"]),
    ("route without a gateway", {"routes": [{"destination": "192.0.2.0/24"}]}, ["routes[0].gateway: is required"]),
    ("route without a destination", {"routes": [{"gateway": "198.51.100.2"}]}, ["routes[0].destination: is required"]),
    ("key of a route", {"routes": [{"destination": "192.0.2.0/24", "gateway": "198.51.100.2", "metric": 1}]},
     ["routes[0].metric: is not a valid key: valid keys are destination, gateway"]),
    ("route that does not lead there",
     {"addresses": [{"ip": "198.51.100.50/24"}], "routes": [{"destination": "192.0.2.0/24", "gateway": "198.51.100.2"}]},
     ["redirect_rules: port 5432/TCP: destination '203.0.113.10' is outside 198.51.100.0/24 and 198.51.100.50/24 has no "
      "gateway: add a gateway or a route"]),
    ("route to nothing, and no gateway",
     {"addresses": [{"ip": "198.51.100.50/24"}], "routes": [{"destination": "10.1", "gateway": "198.51.100.2"}]},
     ["routes[0].destination: '10.1' is not a network in canonical form: write it as 203.0.113.0/24",
      "redirect_rules: port 5432/TCP: destination '203.0.113.10' is outside 198.51.100.0/24 and 198.51.100.50/24 has no "
      "gateway: add a gateway or a route"]),
    ("key of an address", {"addresses": [{**V4, "gatway": "x"}]},
     ["addresses[0].gatway: is not a valid key: did you mean gateway?"]),
    ("rule without port", {"redirect_rules": [{"destination_ip": "203.0.113.10"}]},
     ["redirect_rules[0].port: is required"]),
    ("rule without destination", {"redirect_rules": [{"port": 1}]},
     ["redirect_rules[0].destination_ip: is required"]),
    ("port 0", {"redirect_rules": rule(port=0)},
     ["redirect_rules[0].port: '0' is not a whole number from 1 to 65535"]),
    ("port too high", {"redirect_rules": rule(port="65536")},
     ["redirect_rules[0].port: '65536' is not a whole number from 1 to 65535"]),
    ("pair of ports that YAML took for a number", {"redirect_rules": rule(port=8443 * 60 + 22)},
     ["redirect_rules[0].port: '506602' is not a whole number from 1 to 65535 (of an unquoted pair such as 8443:22, YAML "
      "makes this number: write port and target_port)"]),
    ("pair as target port", {"redirect_rules": rule(target_port="22:2222")},
     ["redirect_rules[0].target_port: '22:2222' is not a whole number from 1 to 65535: write port: 22 and target_port: 2222"]),
    ("pair as target port that YAML took for a number", {"redirect_rules": rule(target_port=8443 * 60 + 22)},
     ["redirect_rules[0].target_port: '506602' is not a whole number from 1 to 65535 (of an unquoted pair such as 8443:22, YAML "
      "makes this number: write port and target_port)"]),
    ("pair of ports", {"redirect_rules": rule(port="22:2222")},
     ["redirect_rules[0].port: '22:2222' is not a whole number from 1 to 65535: write port: 22 and target_port: 2222"]),
    ("every address", {"addresses": [{"ip": "198.51.100.50/0"}], "redirect_rules": None},
     ["addresses[0].ip: '198.51.100.50/0' has the prefix length of every address: set that of the segment, such as "
      "198.51.100.50/24"]),
    ("every IPv6 address", {"addresses": [{"ip": "2001:db8::50/0"}], "redirect_rules": None},
     ["addresses[0].ip: '2001:db8::50/0' has the prefix length of every address: set that of the segment, such as "
      "2001:db8::50/64"]),
    ("typed toleration", {"tolerations": [{"key": "a", "value": True, "effect": "NoExecute", "tolerationSeconds": "x"}]},
     ["tolerations[0].value: expected a string, got the boolean true: quote it",
      "tolerations[0].tolerationSeconds: 'x' is not a whole number from 0 to 999999999"]),
    ("toleration with a misspelled key and operator", {"tolerations": [{"key": "a", "efect": "x", "operator": "Exist"}]},
     ["tolerations[0].operator: 'Exist' is not one of Exists, Equal: did you mean Exists?",
      "tolerations[0].efect: is not a valid key: did you mean effect?"]),
    ("toleration that contradicts itself",
     {"tolerations": [{"key": "a b", "operator": "Exists", "value": "x", "tolerationSeconds": 30}]},
     ["tolerations[0].key: 'a b' is not the key of a taint: use [PREFIX/]NAME, such as example.com/dedicated",
      "tolerations[0].value: cannot be combined with operator Exists, which is every value: remove one of the two",
      "tolerations[0].tolerationSeconds: is for effect NoExecute only: set that effect, or remove it"]),
    ("toleration of a value that no taint has", {"tolerations": [{"key": "a", "value": "x y"}]},
     ["tolerations[0].value: 'x y' is not the value of a taint: use up to 63 letters, digits, '-', '_' and '.'"]),
    ("resources", {"resources": {"request": {"cpu": 1}}}, ["resources.request: is not a valid key: did you mean requests?"]),
    ("resources are no dictionary", {"resources": {"limits": ["cpu"]}},
     ["resources.limits: expected a dictionary, got a list"]),
    ("quantities", {"resources": {"requests": {"cpu": "100 m", "memory": "much", "mem": 1}, "limits": {"cpu": True}}},
     ["resources.requests.cpu: '100 m' is not a quantity: write it as 100m",
      "resources.requests.memory: 'much' is not a quantity: write it as 100m, 2 or 96Mi",
      "resources.requests.mem: is not a resource: use cpu, memory, ephemeral-storage, or a name with a domain",
      "resources.limits.cpu: expected a quantity such as 100m or 96Mi, got the boolean true"]),
    ("quantities in bytes", {"resources": {"requests": {"memory": "96 MiB"}, "limits": {"memory": "1GB"}}},
     ["resources.requests.memory: '96 MiB' is not a quantity: write it as 96Mi",
      "resources.limits.memory: '1GB' is not a quantity: write it as 1G"]),
    ("constraints that no object can be called", {"security_context_constraints": "-Mine"},
     ["security_context_constraints: '-Mine' is not the name of an object: use up to 253 lowercase letters, digits, '-' and '.'"]),
    ("exponent and suffix", {"resources": {"requests": {"cpu": "1e3m"}}},
     ["resources.requests.cpu: '1e3m' is not a quantity: write it as 100m, 2 or 96Mi"]),
    ("labels that are none", {"node_selector": {"a b": "c", "zone": "a b"}, "service": {"labels": {"-a": "b", "tier": "x" * 64}}},
     ["service.labels: '-a' is not a valid key: use [PREFIX/]NAME, such as disktype or example.com/disktype",
      f"service.labels.tier: '{'x' * 64}' is not a label's value: use up to 63 letters, digits, '-', '_' and '.', with a letter "
      "or digit at both ends",
      "node_selector: 'a b' is not a valid key: use [PREFIX/]NAME, such as disktype or example.com/disktype",
      "node_selector.zone: 'a b' is not a label's value: use up to 63 letters, digits, '-', '_' and '.', with a letter or "
      "digit at both ends"]),
    ("annotations that are none", {"service": {"annotations": {"Example.com/a": "any text"}}},
     ["service.annotations: 'Example.com/a' is not a valid key: use [PREFIX/]NAME, such as disktype or example.com/disktype"]),
    ("labels of the collection", {
        "service": {"labels": {"app.kubernetes.io/instance": "x"}},
        "pod_labels": {"app.kubernetes.io/name": "x", "sidecar.istio.io/inject": True, "pod-template-hash": 1},
        "pod_annotations": {"k8s.v1.cni.cncf.io/networks": "other", "linkerd.io/inject": "enabled"}},
     ["service.labels: 'app.kubernetes.io/instance' is set by the collection itself: remove it",
      "pod_labels: 'app.kubernetes.io/name' is set by the collection itself: remove it",
      "pod_labels: 'sidecar.istio.io/inject' is set by the collection itself: remove it",
      "pod_labels: 'pod-template-hash' is set by the collection itself: remove it",
      "pod_annotations: 'k8s.v1.cni.cncf.io/networks' is set by the collection itself: remove it",
      "pod_annotations: 'linkerd.io/inject' is set by the collection itself: remove it"]),
    ("labels of pods that are none", {"pod_labels": {"a": "b c"}, "pod_annotations": ["x"]},
     ["pod_labels.a: 'b c' is not a label's value: use up to 63 letters, digits, '-', '_' and '.', with a letter or digit at both "
      "ends",
      "pod_annotations: expected a dictionary, got a list"]),
    ("names of objects", {"priority_class_name": "Important", "runtime_class_name": ["crun"], "image_pull_secrets": ["a_b", 5, {"name": "x"}]},
     ["priority_class_name: 'Important' is not the name of an object: use up to 253 lowercase letters, digits, '-' and '.'",
      "runtime_class_name: expected a string, got a list",
      "image_pull_secrets[0]: 'a_b' is not the name of an object: use up to 253 lowercase letters, digits, '-' and '.'",
      "image_pull_secrets[2]: expected a string, got a dictionary"]),
    ("pull secrets are a text", {"image_pull_secrets": "registry"},
     ["image_pull_secrets: expected a list, got the string 'registry': start each item on a line of its own with '- '"]),
    ("host users", {"host_users": "maybe"}, ["host_users: 'maybe' is not a boolean: write true or false"]),
    ("port is a YAML yes", {"redirect_rules": rule(port=True)},
     ["redirect_rules[0].port: the boolean true is not a whole number from 1 to 65535"]),
    ("port is a range", {"redirect_rules": rule(port="80-90")},
     ["redirect_rules[0].port: '80-90' is not a whole number from 1 to 65535"]),
    ("port is a fraction", {"redirect_rules": rule(port=80.5)},
     ["redirect_rules[0].port: '80.5' is not a whole number from 1 to 65535"]),
    ("target port", {"redirect_rules": rule(target_port="http")},
     ["redirect_rules[0].target_port: 'http' is not a whole number from 1 to 65535"]),
    ("agent's port", {"redirect_rules": rule(port=29797)},
     ["redirect_rules[0].port: 29797/TCP is the router's own port for probes and metrics: choose another port"]),
    ("port of the messages between pods", {"redirect_rules": rule(port=29798, protocol="udp")},
     ["redirect_rules[0].port: 29798/UDP is the router's own port for messages between its pods: choose another port"]),
    ("beats too often and too seldom", {"failover": {"beat_ms": 10, "promise_ms": 10, "lease_seconds": 301}},
     ["failover: beat_ms 10 is not between 20 and 1000",
      "failover: promise_ms 10 is less than five times beat_ms (10): a few lost beats would end the router's service",
      "failover: lease_seconds 301 is not between 3 and 300"]),
    ("connections that are relayed for two hours", {"failover": {"relay_seconds": 7200}},
     ["failover: relay_seconds 7200 is not between 0 and 3600: pods that end, and drains, may wait for that long"]),
    ("relays are neither on nor off", {"failover": {"relay_seconds": -1}},
     ["failover.relay_seconds: '-1' is not a whole number from 0 to 999999"]),
    ("a promise that is longer than the lease allows", {"failover": {"promise_ms": 1000, "lease_seconds": 4}},
     ["failover: promise_ms 1000 is more than a fifth of lease_seconds (4): the lease is what counts when promises fail, so it "
      "has to last longer"]),
    # With the default in its place, the other one would be wrong.
    ("beats are no number", {"failover": {"beat_ms": "often", "promise_ms": 200, "without_api": "stay"}},
     ["failover.beat_ms: 'often' is not a whole number from 0 to 999999",
      "failover.without_api: 'stay' is not one of serve, stop"]),
    ("failover is a number", {"failover": 5}, ["failover: expected a dictionary, got the number 5"]),
    ("key of failover", {"failover": {"lease_second": 5}},
     ["failover.lease_second: is not a valid key: did you mean lease_seconds?"]),
    ("budget of one pod", {"disruption_budget": True},
     ["disruption_budget: true has no effect with one replica, whose eviction it would only prevent: remove it, or set "
      "replicas to 2"]),
    ("budget of how many", {"disruption_budget": 1.5, "replicas": 2},
     ["disruption_budget: '1.5' is not a boolean: write true or false"]),
    ("protocol", {"redirect_rules": rule(protocol="ICMP")},
     ["redirect_rules[0].protocol: 'ICMP' is not one of TCP, UDP, SCTP"]),
    ("protocol, nearly", {"redirect_rules": rule(protocol="TPC")},
     ["redirect_rules[0].protocol: 'TPC' is not one of TCP, UDP, SCTP: did you mean TCP?"]),
    ("destination is a name", {"redirect_rules": rule(destination_ip="db.example.com")},
     ["redirect_rules[0].destination_ip: 'db.example.com' is not an IP address "
      "(host names and networks are not supported)"]),
    ("destination is a network", {"redirect_rules": rule(destination_ip="203.0.113.0/24")},
     ["redirect_rules[0].destination_ip: '203.0.113.0/24' is not an IP address "
      "(host names and networks are not supported)"]),
    ("destination with a prefix length", {"redirect_rules": rule(destination_ip="203.0.113.10/32")},
     ["redirect_rules[0].destination_ip: '203.0.113.10/32' is not an IP address: write it as 203.0.113.10"]),
    ("destination in brackets", {"redirect_rules": rule(destination_ip="[2001:db8::10]")},
     ["redirect_rules[0].destination_ip: '[2001:db8::10]' is not an IP address: write it as 2001:db8::10"]),
    ("destination with a port", {"redirect_rules": rule(destination_ip="203.0.113.10:5432")},
     ["redirect_rules[0].destination_ip: '203.0.113.10:5432' is not an IP address: write it as 203.0.113.10, "
      "and the port as target_port of a rule"]),
    ("destination in brackets with a port", {"redirect_rules": rule(destination_ip="[2001:db8::10]:53")},
     ["redirect_rules[0].destination_ip: '[2001:db8::10]:53' is not an IP address: write it as 2001:db8::10, "
      "and the port as target_port of a rule"]),
    ("destination is local", {"redirect_rules": rule(destination_ip="127.0.0.1")},
     ["redirect_rules[0].destination_ip: '127.0.0.1' is not the address of a remote server: it is a loopback address"]),
    ("destination is mapped", {"redirect_rules": rule(destination_ip="::ffff:203.0.113.11")},
     ["redirect_rules[0].destination_ip: '::ffff:203.0.113.11' is not the address of a remote server: "
      "it is an IPv4 address in IPv6 form; write the IPv4 address"]),
    ("destination is the segment", {"redirect_rules": rule(destination_ip="198.51.100.0")},
     ["redirect_rules: port 5432/TCP: destination '198.51.100.0' is the address of the router's own segment "
      "198.51.100.0/24: set the address of the server"]),
    ("fallback is everybody on the segment", {"fallback_ip": "198.51.100.255"},
     ["fallback_ip: destination '198.51.100.255' is the broadcast address of the router's own segment "
      "198.51.100.0/24: set the address of the server"]),
    ("destination is the router", {"redirect_rules": rule(destination_ip="198.51.100.50")},
     ["redirect_rules: port 5432/TCP: destination '198.51.100.50' is the router itself: set the address of the server"]),
    ("fallback is the router", {"fallback_ip": "198.51.100.50"},
     ["fallback_ip: destination '198.51.100.50' is the router itself: set the address of the server"]),
    ("destination of another family", {"redirect_rules": rule(destination_ip="2001:db8::10")},
     ["redirect_rules: port 5432/TCP: destination '2001:db8::10' is IPv6 and the router has no IPv6 address: "
      "add one to addresses"]),
    ("fallback of another family", {"fallback_ip": "2001:db8::99"},
     ["fallback_ip: destination '2001:db8::99' is IPv6 and the router has no IPv6 address: add one to addresses"]),
    ("fallback with a port", {"fallback_ip": "203.0.113.99:80"},
     ["fallback_ip: '203.0.113.99:80' is not an IP address: write it as 203.0.113.99, and the port as target_port of a rule"]),
    ("fallback is a name", {"fallback_ip": "db.example.com"},
     ["fallback_ip: 'db.example.com' is not an IP address (host names and networks are not supported)"]),
    ("rule's name", {"redirect_rules": rule(name="My DB")},
     ["redirect_rules[0].name: 'My DB' must be 1 to 63 lowercase letters, digits and inner hyphens"]),
    ("rule's key", {"redirect_rules": rule(dest="x")}, ["redirect_rules[0].dest: is not a valid key: valid keys are "
     "destination_ip, name, port, protocol, source_ip, target_port"]),
    ("same port twice", {"redirect_rules": [*rule(), *rule(destination_ip="203.0.113.11")]},
     ["redirect_rules: port 5432/TCP is redirected twice, to 203.0.113.10 and to 203.0.113.11: "
      "keep one of the two rules"]),
    ("rules are a text", {"redirect_rules": "5432 TCP 203.0.113.10"},
     [OF_REDIRECT_IMAGE]),
    ("rules are some text", {"redirect_rules": "none"},
     ["redirect_rules: expected a list, got the string 'none': start each item on a line of its own with '- '"]),
    ("rules are a block", {"redirect_rules": "80 tcp 203.0.113.11\n8080 TCP 203.0.113.12 80 # web\n203.0.113.13\n"},
     [OF_REDIRECT_IMAGE]),
    ("a rule is a text", {"redirect_rules": ["5432 TCP 203.0.113.10"]}, [OF_REDIRECT_IMAGE]),
    ("rules are the ConfigMap's text", {"redirect_rules": "# rules\n80 TCP 203.0.113.11 name=web\nfallback 203.0.113.13\n"},
     [OF_REDIRECT_IMAGE]),
    ("rules are a text of IPv6", {"redirect_rules": ["53\tudp\t2001:db8::53"]}, [OF_REDIRECT_IMAGE]),
    ("rules are a fallback alone", {"redirect_rules": ["203.0.113.13 # all"]}, [OF_REDIRECT_IMAGE]),
    ("addresses are a dictionary", {"addresses": {"ip": "198.51.100.50/24"}},
     ["addresses: expected a list, got a dictionary: start each item on a line of its own with '- '"]),
    ("mac", {"mac": "02:e6:c6"}, ["mac: '02:e6:c6' is not a MAC address: write it as 02:e6:c6:33:64:32"]),
    ("mac without quotes", {"mac": 41135085296},
     ["mac: YAML reads an unquoted MAC address as the number 41135085296: quote it as '52:54:00:12:34:56'"]),
    ("mac without quotes, by way of a survey", {"mac": "41135085296"},
     ["mac: YAML reads an unquoted MAC address as the number 41135085296: quote it as '52:54:00:12:34:56'"]),
    ("mac is another number", {"mac": 5}, ["mac: YAML reads an unquoted MAC address as the number 5: quote it"]),
    ("multicast mac", {"mac": "01:00:5e:00:00:01"},
     ["mac: '01:00:5e:00:00:01' is a multicast address: choose one whose first byte is even, such as 02"]),
    ("zero mac", {"mac": "00:00:00:00:00:00"},
     ["mac: '00:00:00:00:00:00' is not usable: choose another one, or leave mac out to have it derived"]),
    ("master", {"master": "i" * 128},
     [f"master: '{'i' * 128}' is not the name of a network interface: 1 to 127 characters without whitespace, / and :"]),
    ("macvlan mode", {"macvlan_mode": "brigde"},
     ["macvlan_mode: 'brigde' is not one of bridge, private, vepa, passthru: did you mean bridge?"]),
    ("mtu", {"mtu": 100}, ["mtu: '100' is not a whole number from 576 to 9216"]),
    ("mtu for IPv6", {"mtu": 1000, "addresses": [V4, IPV6]},
     ["mtu: 1000 is too small for IPv6, which needs at least 1280"]),
    ("replicas", {"replicas": 0}, ["replicas: '0' is not a whole number from 1 to 100"]),
    ("state", {"state": "started"}, ["state: 'started' is not one of present, absent"]),
    ("image", {"image": "my image"}, ["image: 'my image' contains whitespace: write it as REGISTRY/NAME:TAG"]),
    ("node selector", {"node_selector": "zone=a"},
     ["node_selector: expected a dictionary, got the string 'zone=a'"]),
    ("node selector for another system", {"node_selector": {"zone": "a", "kubernetes.io/os": "windows"}},
     ["node_selector.kubernetes.io/os: the router's image is for linux, not for 'windows': remove it"]),
    ("node selector's value", {"node_selector": {"zone": ["a"]}},
     ["node_selector.zone: expected a string, got a list"]),
    ("tolerations", {"tolerations": ["Exists"]},
     ["tolerations[0]: expected a dictionary, got the string 'Exists'",
      "tolerations[0].key: is required unless operator is Exists"]),
    ("a toleration's key", {"tolerations": [{"key": "a", "efect": "NoSchedule"}]},
     ["tolerations[0].efect: is not a valid key: did you mean effect?"]),
    ("a toleration's operator", {"tolerations": [{"key": "a", "operator": "Exist"}]},
     ["tolerations[0].operator: 'Exist' is not one of Exists, Equal: did you mean Exists?"]),
    ("a toleration's value", {"tolerations": [{"key": "a", "value": True}]},
     ["tolerations[0].value: expected a string, got the boolean true: quote it"]),
    ("resources", {"resources": ["cpu"]},
     ["resources: expected a dictionary, got a list"]),
    ("service's key", {"service": {"headles": True}}, ["service.headles: is not a valid key: did you mean headless?"]),
    ("service's name", {"service": {"name": "1db"}},
     ["service.name: '1db' must be 1 to 63 lowercase letters, digits and inner hyphens, a letter first"]),
    ("headless", {"service": {"headless": "maybe"}}, ["service.headless: 'maybe' is not a boolean: write true or false"]),
    ("extra port without fallback", {"service": {"extra_ports": [{"port": 8443}]}},
     ["service.extra_ports[0].port: 8443/TCP leads nowhere without a fallback: set fallback_ip or remove it here"]),
    ("extra port with a rule", {"service": {"extra_ports": [{"port": 5432}]}, "fallback_ip": "203.0.113.99"},
     ["service.extra_ports[0].port: 5432/TCP has a redirect rule, which opens the Service's port already: "
      "remove it here"]),
    ("extra port twice", {"service": {"extra_ports": [{"port": 1}, {"port": 1}]}, "fallback_ip": "203.0.113.99"},
     ["service.extra_ports[1].port: 1/TCP is in the list twice: remove one of the two"]),
    ("extra port of the agent", {"service": {"extra_ports": [{"port": 29797}]}, "fallback_ip": "203.0.113.99"},
     ["service.extra_ports[0].port: 29797/TCP is the router's own port for probes and metrics: choose another port"]),
    ("extra port is a number", {"service": {"extra_ports": [8443]}, "fallback_ip": "203.0.113.99"},
     ["service.extra_ports[0]: expected a dictionary, got the number 8443",
      "service.extra_ports[0].port: is required"]),
    ("unknown key", {"redirect_rule": []}, ["redirect_rule: is not a valid key: did you mean redirect_rules?"]),
    ("text is a list", {"fallback_ip": ["203.0.113.99"]},
     ["fallback_ip: expected a string, got a list"]),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "said"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_what_is_wrong_is_said(changes: dict[str, Any], said: list[str]) -> None:
    assert sentences([spec(**changes)]) == [f"router payments/billing-db, {sentence}" for sentence in said]


def test_an_absent_router_is_checked_like_a_present_one() -> None:
    """What is not read is not removed either: its address pair would stay open."""
    for changes, said in [case[1:] for case in WRONG if "state" not in case[1]]:
        found = set(sentences([{**spec(**changes), "state": "absent"}]))
        assert {f"router payments/billing-db, {one}" for one in said if "is required" not in one} <= found


def test_what_the_api_takes_is_passed_on() -> None:
    given = spec(
        master="enp0s31f6-with-an-alternative-name",
        node_selector={"example.com/disk": True, "empty": ""},
        tolerations=[{"key": "a", "effect": "NoExecute", "tolerationSeconds": "30"}, {"operator": "Exists"}],
        resources={"requests": {"cpu": 1, "memory": "96Mi"}, "limits": {"memory": "1e9", "example.com/gpu": "2"}},
    )
    (router,), problems = load([given], DEFAULTS)
    assert not problems
    assert router.node_selector == {"example.com/disk": "true", "empty": ""}
    assert router.tolerations == [
        {"key": "a", "effect": "NoExecute", "tolerationSeconds": 30}, {"operator": "Exists"}
    ]  # fmt: skip
    assert router.resources == {
        "requests": {"cpu": "1", "memory": "96Mi"}, "limits": {"memory": "1e9", "example.com/gpu": "2"}
    }  # fmt: skip


def test_names() -> None:
    assert sentences([spec(name=None)]) == ["router number 1, name: is required"]
    assert sentences([spec(namespace=None)]) == ["router billing-db, namespace: is required"]
    rules = "must be 1 to 63 lowercase letters, digits and inner hyphens"
    for name in ("Billing", "a_b", "-a", "a" * 64, "a.b"):
        assert sentences([spec(name=name)]) == [f"router payments/{name}, name: '{name}' {rules}"]
    assert sentences([spec(namespace="Pay")]) == [f"router Pay/billing-db, namespace: 'Pay' {rules}"]
    # The Service is a DNS-1035 label; with a name of its own the router may begin with a digit.
    assert sentences([spec(name="3scale")]) == [
        "router payments/3scale, name: '3scale' cannot be the name of a Service: start it with a letter or set service.name"
    ]
    assert sentences([spec(name="3scale", service={"name": "scale"})]) == []
    assert sentences([spec(name="a" * 63)]) == []


def test_what_is_no_list_and_no_router() -> None:
    # As a survey of AWX gives it.
    assert sentences("[]") == [
        """egress_routers: expected a list of routers, got the string '[]': use "{{ VARIABLE | from_yaml }}" """
        "to read YAML or JSON"
    ]
    assert sentences([], "image: x") == [
        """egress_router_defaults: expected a dictionary, got the string 'image: x': use "{{ VARIABLE | from_yaml }}" """
        "to read YAML or JSON"
    ]
    assert sentences({"name": "a"}) == ["egress_routers: expected a list of routers, got a dictionary"]
    assert sentences([7]) == [
        "router number 1: expected a dictionary, got the number 7: start each router with '- name: NAME'"
    ]
    assert sentences(None) == [] and sentences([]) == []


def test_conflicts_between_routers() -> None:
    other = {"name": "other", "redirect_rules": None}
    assert sentences([spec(), spec()]) == [
        "router payments/billing-db, name: 'payments/billing-db' is in the list twice: remove one of the two"
    ]
    assert sentences([spec(), spec(**other)]) == [
        "router payments/other, addresses: '198.51.100.50' is also that of router payments/billing-db: "
        "each router needs its own",
        "router payments/other, mac: '02:e6:c6:33:64:32' is also that of router payments/billing-db: "
        "each router needs its own",
    ]
    elsewhere = [{"ip": "198.51.100.51/24", "gateway": "198.51.100.1"}]
    assert sentences([spec(), spec(**other, addresses=elsewhere, mac="02-E6-C6-33-64-32")]) == [
        "router payments/other, mac: '02:e6:c6:33:64:32' is also that of router payments/billing-db: "
        "each router needs its own"
    ]
    assert sentences([spec(), spec(**other, addresses=elsewhere, service={"name": "billing-db"})]) == [
        "router payments/other, service.name: 'payments/billing-db' is also that of router payments/billing-db: "
        "each router needs its own"
    ]
    # The same name in another namespace is another router.
    assert sentences([spec(), spec(namespace="shop", addresses=elsewhere)]) == []


def test_the_same_address_written_differently_is_the_same() -> None:
    found = sentences([
        spec(addresses=[IPV6], redirect_rules=None),
        spec(name="b", addresses=[{"ip": "2001:DB8:0:0::50/64"}], redirect_rules=None),
    ])  # fmt: skip
    assert found[0].startswith("router payments/b, addresses: '2001:db8::50' is also that of router payments/billing")


def test_an_absent_router_needs_only_its_name_and_conflicts_with_nobody() -> None:
    routers, problems = load([{"name": "old", "namespace": "payments", "state": "absent"}, spec()], None)
    assert [str(problem) for problem in problems] == [
        "router payments/billing-db, image: is required: set it for all routers in egress_router_defaults"
    ]
    assert [router.present for router in routers] == [False, True]
    # What it has is taken away elsewhere by these very values, so they must be right.
    assert sentences([spec(name="old", state="absent", mac="x", typo=1), spec()]) == [
        "router payments/old, mac: 'x' is not a MAC address: write it as 02:e6:c6:33:64:32",
        "router payments/old, typo: is not a valid key: valid keys are addresses, backend, disruption_budget, failover, fallback_ip, "
        "host_users, image, image_pull_secrets, "
        "mac, macvlan_mode, master, monitoring, monitoring_labels, mtu, name, namespace, node_selector, pod_annotations, pod_labels, "
        "priority_class_name, redirect_rules, replicas, resources, routes, runtime_class_name, security_context_constraints, service, "
        "source, state, tolerations",
    ]
    # An address may go from one router to another.
    assert sentences([spec(name="old", state="absent"), spec()]) == []
    assert sentences([spec(), spec(state="absent")]) != []
    # Its Service goes by its name.
    assert sentences([spec(), spec(name="old", state="absent", service={"name": "billing-db"})]) == [
        "router payments/old, service.name: 'payments/billing-db' is also that of router payments/billing-db: "
        "each router needs its own"
    ]


def test_all_problems_of_all_routers_at_once() -> None:
    found = sentences([spec(mtu=1, mac="x", typo=1), spec(name="other", addresses=[{"ip": "x"}])])
    assert len(found) == 4, found


def test_defaults() -> None:
    assert sentences([spec()], {"imag": "x", "image": "y"}) == [
        "egress_router_defaults.imag: is not a valid key: did you mean image?"
    ]
    assert sentences([spec(image="x")], ["x"]) == ["egress_router_defaults: expected a dictionary, got a list"]
    defaults = {**DEFAULTS, "master": "eth1", "service": {"headless": True, "labels": {"a": "b"}}}
    routers, problems = load([spec(master="eth2", service={"labels": {"c": "d"}})], defaults)
    assert not problems
    assert routers[0].master == "eth2"
    assert routers[0].service.headless and routers[0].service.labels == {"a": "b", "c": "d"}


def test_texts_of_surveys_are_taken_as_numbers() -> None:
    router = good(
        redirect_rules=rule(port="5432", target_port=" 15432 "), replicas="2", mtu="1400", service={"headless": "yes"}
    )
    assert router.rules.rules[0].target_port == 15432
    assert (router.replicas, router.mtu, router.service.headless) == (2, 1400, True)
    assert [good(host_users=value).host_users for value in ("no", "true", False, " ", "")] == [
        False,
        True,
        False,
        None,
        None,
    ]
    assert good(pod_labels={"egress": True, "tier": 3}).pod_labels == {"egress": "true", "tier": "3"}
    assert good(image_pull_secrets=[" registry ", "registry", None, 5]).image_pull_secrets == ["registry", "5"]
    # A field of a survey that was left blank.
    blank = good(fallback_ip="", mac="", mtu=" ", priority_class_name="", runtime_class_name=" ", image_pull_secrets="")
    assert (blank.mtu, blank.priority_class_name, blank.runtime_class_name, blank.image_pull_secrets) == (
        None,
        "",
        "",
        [],
    )


def test_what_is_fine() -> None:
    # The same port for TCP and UDP, and for both families.
    router = good(
        addresses=[V4, IPV6],
        redirect_rules=[
            {"port": 53, "protocol": "tcp", "destination_ip": "203.0.113.12"},
            {"port": 53, "protocol": "UDP", "destination_ip": "203.0.113.12"},
            {"port": 53, "protocol": "UDP", "destination_ip": "2001:db8:1::12"},
        ],
    )
    assert len(router.rules.rules) == 3
    # Routers of an IPv6 network announce link-local addresses.
    assert good(addresses=[{"ip": "2001:db8::50/64", "gateway": "fe80::1"}], redirect_rules=None)
    # Point-to-point links have no network address (RFC 3021, RFC 6164).
    assert good(addresses=[{"ip": "198.51.100.50/31", "gateway": "198.51.100.51"}])
    # No gateway is needed for what is on the segment.
    assert good(addresses=[{"ip": "198.51.100.50/24"}], redirect_rules=rule(destination_ip="198.51.100.9"))
    # Nor for what a route leads to.
    routes = [{"destination": "203.0.113.0/24", "gateway": "198.51.100.2"}]
    assert good(addresses=[{"ip": "198.51.100.50/24"}], routes=routes, redirect_rules=rule()).routes[0].family == 4
    (route,) = good(
        addresses=[IPV6], redirect_rules=None, routes=[{"destination": "2001:db8:9::/48", "gateway": "FE80::2"}]
    ).routes
    assert (route.family, route.gateway) == (6, "fe80::2")
    # A router without rules yet.
    assert good(redirect_rules=None).rules.lines() == []
    # YAML's booleans and numbers as label values.
    assert good(node_selector={"egress": True, "zone": 3}).node_selector == {"egress": "true", "zone": "3"}


def test_a_router_with_several_pods_has_a_budget_unless_it_says_otherwise() -> None:
    assert (good().disruption_budget, good(replicas=2).disruption_budget) == (False, True)
    assert not good(replicas=2, disruption_budget=False).disruption_budget
    assert not good(disruption_budget=False).disruption_budget
    assert good(replicas="2", disruption_budget="yes").disruption_budget, "as surveys write it"
    assert not good(replicas="2", disruption_budget="no").disruption_budget


@pytest.mark.parametrize(("port", "protocol"), sorted(OWN_PORTS))
def test_a_port_of_its_own_is_refused_and_told_of(port: int, protocol: str) -> None:
    _routers, problems = load([spec(redirect_rules=rule(port=port, protocol=protocol))], DEFAULTS)
    (problem,) = map(str, problems)
    assert f"{port}/{protocol} is the router's own port for {OWN_PORTS[port, protocol]}: choose another port" in problem
    assert good(redirect_rules=rule(port=port, protocol="UDP" if protocol == "TCP" else "TCP"))
    assert f"{port}/{protocol}" in ModuleDocFragment.DOCUMENTATION


def test_failover_has_defaults_each_for_itself_and_takes_the_text_of_surveys() -> None:
    assert good().failover == good(failover={}).failover == good(failover=None).failover == Failover()
    found = good(
        failover={"beat_ms": "50", "lease_seconds": " 9 ", "relay_seconds": "0", "without_api": "stop"}
    ).failover
    assert found == Failover(50, 600, 9, 0, "stop")
    (router,), problems = load([spec(failover={"beat_ms": 40})], {**DEFAULTS, "failover": {"lease_seconds": 30}})
    assert not problems and router.failover == Failover(beat_ms=40, lease_seconds=30), "dictionaries are merged"


@pytest.mark.parametrize(("addresses", "mac"), [
    ([V4], "02:e6:c6:33:64:32"),
    # 198.51.100.50 wherever it stands.
    ([IPV6, V4], "02:e6:c6:33:64:32"),
    # SHA-256 of the 16 bytes of 2001:db8::50 begins with these.
    ([IPV6], "02:e7:ba:b2:0f:50"),
])  # fmt: skip
def test_the_mac_is_derived_from_the_address(addresses: list[dict[str, str]], mac: str) -> None:
    router = good(addresses=addresses, redirect_rules=None)
    assert router.mac == mac
    assert int(mac[:2], 16) & 0b1111 == 0b0010, "locally administered, unicast, administratively assigned"
    for given in ("02-AA-00-00-00-01", "02aa.0000.0001", "02aa00000001"):
        assert good(addresses=addresses, redirect_rules=None, mac=given).mac == "02:aa:00:00:00:01"


def test_too_many_rules() -> None:
    many = [{"port": port, "destination_ip": "203.0.113.10"} for port in range(1, 5002)]
    (found,) = sentences([spec(redirect_rules=many)])
    assert "redirect_rules: 5001 rules are more than the 5000 that a router takes: spread them over" in found
    assert good(redirect_rules=many[:-1])


class _OmitType:
    """As ansible-core 2.19 and newer leave `omit` where nothing removes it."""

    def __str__(self) -> str:
        return "<<Omit>>"


@pytest.mark.parametrize("omit", ["__omit_place_holder__5f7d3c2d3215d42e463c89c17d5f74ed360d95b6", _OmitType()])
def test_omit_leaves_out_a_key_or_an_item_wherever_it_is(omit: Any) -> None:
    (router,), problems = load(
        [
            omit,
            spec(
                mac=omit,
                mtu=omit,
                image=omit,
                addresses=[omit, {**V4, "gateway": omit}],
                redirect_rules=[{"port": 1, "destination_ip": "198.51.100.9", "target_port": omit, "name": omit}, omit],
                node_selector={"zone": omit},
                tolerations=[omit],
                pod_labels={"team": omit},
                pod_annotations=omit,
                priority_class_name=omit,
                image_pull_secrets=[omit, "registry"],
                host_users=omit,
                service={"name": omit, "labels": omit, "headless": omit},
                resources={"limits": {"cpu": omit, "memory": "1Gi"}},
            ),
        ],
        {**DEFAULTS, "replicas": omit},
    )
    assert problems == []
    assert (router.mac, router.mtu, router.replicas, router.service.name) == (
        "02:e6:c6:33:64:32",
        None,
        1,
        "billing-db",
    )
    assert router.image == DEFAULTS["image"], "a default stays one"
    assert router.rules.lines() == ["1 TCP 198.51.100.9"]
    assert (router.node_selector, router.tolerations) == ({}, [])
    assert router.resources == {"limits": {"memory": "1Gi"}}
    assert (router.pod_labels, router.pod_annotations, router.priority_class_name) == ({}, {}, "")
    assert (router.image_pull_secrets, router.host_users) == (["registry"], None)


def test_null_takes_a_default_away() -> None:
    routers, problems = load([{**spec(), "master": None}], {**DEFAULTS, "master": "eth1"})
    assert problems == [] and routers[0].master == ""


ODD: list[Any] = [None, "", " ", 0, 1, 80, 65535, 65536, 29797, True, False, 80.0, "80", " 80 ", "080", "tcp", "Udp", " TCP",
                  "ICMP", [], {}, "203.0.113.10", " 203.0.113.10", "2001:DB8::10", "127.0.0.1", "x", "web", "WEB"]  # fmt: skip


@pytest.mark.parametrize("key", ["port", "protocol", "destination_ip", "target_port", "name", "typo"])
def test_a_faultless_rule_is_read_as_any_other(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [{"port": 1, "destination_ip": "203.0.113.10", key: value} for value in ODD]
    cases += [{name: value for name, value in case.items() if name != key} for case in cases[:1]]
    routers = [spec(name=f"r{n}", state="absent", redirect_rules=[case]) for n, case in enumerate(cases)]
    quick = load(routers)
    monkeypatch.setattr(redirects, "_faultless", lambda item, reserved: None)
    assert load(routers) == quick


def test_several_addresses() -> None:
    found = good(
        addresses=[V4, {"ip": "198.51.100.51/24"}, IPV6, {"ip": "2001:db8::51/64"}],
        redirect_rules=[
            *rule(source_ip="198.51.100.51"),
            *rule(destination_ip="2001:db8:1::1", source_ip="2001:db8:0::51"),
        ],
    )
    assert [(one.ip, one.gateway) for one in found.addresses] == [
        ("198.51.100.50", "198.51.100.1"),
        ("198.51.100.51", "198.51.100.1"),
        ("2001:db8::50", "2001:db8::1"),
        ("2001:db8::51", "2001:db8::1"),
    ]
    assert (found.families, found.mac, found.source) == ((4, 6), "02:e6:c6:33:64:32", "first")
    assert [one.source_ip for one in found.rules.rules] == ["198.51.100.51", "2001:db8::51"]
    assert checked.load(checked.dump([found])) == [found]


def test_sixteen_addresses_spread() -> None:
    addresses = [{"ip": f"198.51.100.{host}/24", "gateway": "198.51.100.1"} for host in range(50, 66)]
    found = good(addresses=addresses, source="spread")
    assert (len(found.addresses), found.source) == (16, "spread")
