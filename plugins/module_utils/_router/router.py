# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""One egress router as users describe it, checked and with its defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .._contract.failover import Failover
from .._contract.identity import Route
from .._contract.routes import gateway_to
from .._contract.rules import DNS_LABEL, RuleSet, not_remote
from .._contract.sources import FIRST, SOURCES, refusal
from . import own
from .addresses import Address, read_addresses, read_mac
from .backend import AGENT, BACKENDS, Backend
from .fields import Fields, expected, is_omitted
from .passed_on import (
    read_annotations,
    read_labels,
    read_object_name,
    read_object_names,
    read_resources,
    read_toleration,
)
from .problems import Problems
from .redirects import PortKey, read_port, read_rule_set
from .routes import read_routes
from .standby import read_disruption_budget, read_failover

MACVLAN_MODES = ("bridge", "private", "vepa", "passthru")
STATES = ("present", "absent")
# Service names are DNS-1035 labels, other objects' names DNS-1123.
_SERVICE_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?\Z")
# ALTIFNAMSIZ of Linux, less the closing zero: it may be an alternative name. Others have 15 characters at most.
_INTERFACE = re.compile(r"[^/\s:]{1,127}\Z")


@dataclass(frozen=True)
class Service:
    """How clients reach the router. `extra_ports` are fallback ports that a ClusterIP has to name."""

    name: str
    headless: bool = False
    extra_ports: tuple[PortKey, ...] = ()
    annotations: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Router:
    """One egress router. An absent one may have nothing but name, namespace and service.

    `master`: the nodes' interface under the macvlan; empty leaves it to the CNI plugin (default route).
    `mtu`: None leaves it to the CNI plugin (the master's). `mac`: see addresses.default_mac; empty if it changes at every start
    (see backend.has_mac). `host_users`: None leaves it to the cluster. `security_context_constraints`: those of OpenShift that its
    pods are pinned to; empty for none. `failover`: how its pods stand by for each other. `disruption_budget`: never true with one pod.
    `monitoring`: whether it has a PodMonitor. `source`: from which of its addresses connections leave, see the contract's sources.
    """

    name: str
    namespace: str
    service: Service
    state: str = "present"
    backend: str = AGENT
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    mac: str = ""
    master: str = ""
    macvlan_mode: str = "bridge"
    mtu: int | None = None
    source: str = FIRST
    rules: RuleSet = field(default_factory=RuleSet)
    replicas: int = 1
    failover: Failover = field(default_factory=Failover)
    disruption_budget: bool = False
    monitoring: bool = False
    monitoring_labels: dict[str, str] = field(default_factory=dict)
    image: str = ""
    node_selector: dict[str, str] = field(default_factory=dict)
    tolerations: list[dict[str, Any]] = field(default_factory=list)
    resources: dict[str, Any] = field(default_factory=dict)
    pod_labels: dict[str, str] = field(default_factory=dict)
    pod_annotations: dict[str, str] = field(default_factory=dict)
    priority_class_name: str = ""
    runtime_class_name: str = ""
    image_pull_secrets: list[str] = field(default_factory=list)
    host_users: bool | None = None
    security_context_constraints: str = ""

    @property
    def id(self) -> str:
        """`NAMESPACE/NAME`, as messages name it."""
        return f"{self.namespace}/{self.name}"

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.namespace, self.name

    @property
    def node_labels(self) -> dict[str, str]:
        """What a node has to have of labels to run it."""
        return {**self.node_selector, **own.NODE_LABELS}

    @property
    def present(self) -> bool:
        """Whether the router is to be there."""
        return self.state == "present"

    @property
    def has_standbys(self) -> bool:
        """Whether it has more than one pod."""
        return self.replicas > 1

    @property
    def families(self) -> tuple[int, ...]:
        """The address families it serves, in the order of its addresses."""
        return tuple(dict.fromkeys(address.family for address in self.addresses))

    def address(self, family: int) -> Address | None:
        """Its first address of one family."""
        return next(iter(self.addresses_of(family)), None)

    def addresses_of(self, family: int) -> tuple[Address, ...]:
        """Its addresses of one family."""
        return tuple(address for address in self.addresses if address.family == family)


def read_router(
    data: object, defaults: Mapping[str, Any], number: int, problems: Problems, absent: bool = False
) -> Router | None:
    """The router of one list item; None if it has no name. `number` is its place, from 0.

    `absent`: the router is absent, whatever its `state` says. An absent router needs no address and no image; what it has is
    checked like that of any other.
    """
    if not isinstance(data, Mapping):
        problems.router = f"number {number + 1}"
        problems.add("", f"{expected('a dictionary', data)}: start each router with '- name: NAME'")
        return None
    fields = Fields(merged(defaults, data), problems)
    name, namespace = _read_identity(fields, number)
    backend = BACKENDS[fields.choice("backend", tuple(BACKENDS), AGENT)]
    if backend.foreign_keys:
        fields = Fields(merged({k: v for k, v in defaults.items() if k not in backend.foreign_keys}, data), problems)
        for known in ("name", "namespace", "backend"):
            fields.raw(known)
    state = fields.choice("state", STATES, "present")
    state = "absent" if absent else state
    addresses = read_addresses(fields, required=state == "present")
    rules = read_rule_set(fields, backend.reserved)
    replicas = fields.number("replicas", 1, 100, 1) or 1
    router = Router(
        name=name,
        namespace=namespace,
        state=state,
        backend=backend.name,
        service=_read_service(fields, name, rules, backend),
        addresses=addresses,
        routes=read_routes(fields, addresses),
        mac=read_mac(fields, addresses) if backend.has_mac else "",
        master=_read_master(fields),
        macvlan_mode=fields.choice("macvlan_mode", MACVLAN_MODES, "bridge"),
        mtu=_read_mtu(fields, addresses),
        source=fields.choice("source", SOURCES, FIRST),
        rules=rules,
        replicas=replicas,
        failover=read_failover(fields),
        disruption_budget=backend.has_standbys and read_disruption_budget(fields, replicas),
        monitoring=fields.boolean("monitoring", False),
        monitoring_labels=read_labels(fields, "monitoring_labels", own.OBJECT_LABELS),
        image=_read_image(fields, required=state == "present" and backend.has_image),
        node_selector=_read_node_selector(fields),
        tolerations=[read_toleration(section) for section in fields.sections("tolerations")],
        resources=read_resources(fields, "resources") or backend.resources,
        pod_labels=read_labels(fields, "pod_labels", own.POD_LABELS),
        pod_annotations=read_annotations(fields, "pod_annotations", own.POD_ANNOTATIONS),
        priority_class_name=read_object_name(fields, "priority_class_name"),
        runtime_class_name=read_object_name(fields, "runtime_class_name"),
        image_pull_secrets=read_object_names(fields, "image_pull_secrets"),
        host_users=None if fields.raw("host_users") is None else fields.boolean("host_users"),
        security_context_constraints=read_object_name(fields, "security_context_constraints"),
    )
    backend.refuse(fields, addresses, rules, state == "present")
    fields.finish()
    _check_destinations(router, fields)
    _check_sources(router, fields)
    return router if name and namespace else None


def merged(defaults: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """`data` with what `defaults` adds: dictionaries are merged, anything else is replaced as a whole."""
    result = dict(defaults)
    for key, value in data.items():
        if is_omitted(value):
            continue
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return result


def _read_identity(fields: Fields, number: int) -> tuple[str, str]:
    name, namespace = fields.text("name"), fields.text("namespace")
    if name:
        fields.problems.router = f"{namespace}/{name}" if namespace else name
    else:
        fields.problems.router = f"number {number + 1}"
    for key, value in (("name", name), ("namespace", namespace)):
        if not value:
            fields.required(key)
        elif not DNS_LABEL.match(value):
            # 63: the name is the value of the label app.kubernetes.io/instance, a namespace's name a DNS label.
            fields.problem(key, f"'{value}' must be 1 to 63 lowercase letters, digits and inner hyphens")
    return name, namespace


def _read_service(fields: Fields, router_name: str, rules: RuleSet, backend: Backend) -> Service:
    section = fields.section("service")
    given = section.text("name")
    headless = section.boolean("headless")
    ports = []
    for item in section.sections("extra_ports"):
        port = read_port(item, backend.reserved)
        item.finish()
        if port is not None:
            ports.append(port)
            _check_extra_port(item, port, ports, rules)
    service = Service(
        given or router_name,
        headless,
        tuple(sorted(set(ports))),
        read_annotations(section, "annotations"),
        read_labels(section, "labels", own.OBJECT_LABELS),
    )
    section.finish()
    if given and not _SERVICE_NAME.match(given):
        section.problem(
            "name", f"'{given}' must be 1 to 63 lowercase letters, digits and inner hyphens, a letter first"
        )
    elif not given and DNS_LABEL.match(router_name) and not _SERVICE_NAME.match(router_name):
        fields.problem(
            "name", f"'{router_name}' cannot be the name of a Service: start it with a letter or set service.name"
        )
    return service


def _check_extra_port(item: Fields, port: PortKey, ports: list[PortKey], rules: RuleSet) -> None:
    text = f"{port[0]}/{port[1]}"
    if ports.count(port) > 1:
        item.problem("port", f"{text} is in the list twice: remove one of the two")
    if port in [(rule.port, rule.protocol) for rule in rules.rules]:
        item.problem("port", f"{text} has a redirect rule, which opens the Service's port already: remove it here")
    if not rules.fallback_ip:
        item.problem("port", f"{text} leads nowhere without a fallback: set fallback_ip or remove it here")


def _read_master(fields: Fields) -> str:
    master = fields.text("master")
    if master and not _INTERFACE.match(master):
        fields.problem(
            "master",
            f"'{master}' is not the name of a network interface: 1 to 127 characters without whitespace, / and :",
        )
    return master


def _read_mtu(fields: Fields, addresses: tuple[Address, ...]) -> int | None:
    # RFC 8200: IPv6 needs 1280; RFC 791: IPv4 hosts take 576.
    mtu = fields.number("mtu", 576, 9216, None)
    if mtu is not None and mtu < 1280 and any(address.family == 6 for address in addresses):
        fields.problem("mtu", f"{mtu} is too small for IPv6, which needs at least 1280")
    return mtu


def _read_node_selector(fields: Fields) -> dict[str, str]:
    found = read_labels(fields, "node_selector")
    for key, value in own.NODE_LABELS.items():
        if found.get(key, value) != value:
            fields.problem(
                f"node_selector.{key}", f"the router's image is for {value}, not for '{found[key]}': remove it"
            )
    return found


def _read_image(fields: Fields, required: bool) -> str:
    image = fields.text("image")
    if not image and required:
        fields.problem("image", "is required: set it for all routers in egress_router_defaults")
    elif re.search(r"\s", image):
        fields.problem("image", f"'{image}' contains whitespace: write it as REGISTRY/NAME:TAG")
    return image


def _check_destinations(router: Router, fields: Fields) -> None:
    """Whether the router's addresses reach the servers."""
    if not router.addresses:
        return
    # What the backend has no family for, it has refused.
    families = BACKENDS[router.backend].families
    servers = {(rule.destination_ip, rule.family) for rule in router.rules.rules if rule.family in families}
    reasons = {ip: reason for ip, family in servers if (reason := _unreachable(router, ip, family))}
    for rule in router.rules.rules if reasons else ():
        if rule.destination_ip in reasons:
            fields.problem("redirect_rules", f"port {rule.port}/{rule.protocol}: {reasons[rule.destination_ip]}")
    fallback = router.rules.fallback_ip
    family = 6 if ":" in fallback else 4
    reason = _unreachable(router, fallback, family) if fallback and family in families else ""
    if reason:
        fields.problem("fallback_ip", reason)


def _unreachable(router: Router, destination: str, family: int) -> str:
    addresses = router.addresses_of(family)
    if not addresses:
        return f"destination '{destination}' is IPv{family} and the router has no IPv{family} address: add one to addresses"
    route = gateway_to(destination, router.routes)
    reasons = (not_remote(destination, address.cidr, address.gateway or route) for address in addresses)
    reason = next(filter(None, reasons), "")
    return f"destination '{destination}' {reason}" if reason else ""


def _check_sources(router: Router, fields: Fields) -> None:
    """Whether the rules leave from addresses of the router."""
    own = [address.ip for address in router.addresses]
    for rule in router.rules.rules if own else ():
        reason = refusal(rule.source_ip, rule.family, own, router.source)
        if reason:
            fields.problem("redirect_rules", f"port {rule.port}/{rule.protocol}: source_ip '{rule.source_ip}' {reason}")
