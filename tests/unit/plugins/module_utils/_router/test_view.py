# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What templates get of a router."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.egress.router.plugins.module_utils._contract.version import VERSION
from ansible_collections.egress.router.plugins.module_utils._router.routers import load
from ansible_collections.egress.router.plugins.module_utils._router.view import view

V4 = {"ip": "198.51.100.50/24", "gateway": "198.51.100.1"}
V6 = {"ip": "2001:db8::50/64", "gateway": "2001:db8::1"}


def viewed(**changes: Any) -> dict[str, Any]:
    router = {"name": "billing-db", "namespace": "payments", "image": "img:1", "addresses": [V4], **changes}
    routers, problems = load([router])
    assert problems == []
    return view(routers[0])


def test_the_version_is_that_of_the_collection() -> None:
    galaxy = Path(__file__).resolve().parents[5] / "galaxy.yml"
    assert yaml.safe_load(galaxy.read_text(encoding="utf-8"))["version"] == VERSION


def test_identity_is_in_the_arguments_and_rules_are_not() -> None:
    rules = [{"port": 5432, "destination_ip": "203.0.113.10"}]
    found = viewed(redirect_rules=rules, fallback_ip="203.0.113.99", service={"extra_ports": [{"port": 8443}]})
    assert found["agent_args"] == [
        "--router=billing-db", "--address=198.51.100.50/24", "--gateway=198.51.100.1", "--mac=02:e6:c6:33:64:32",
        "--replicas=1", "--extra-port=8443/TCP",
    ]  # fmt: skip
    assert viewed()["agent_args"] == viewed(redirect_rules=rules)["agent_args"]
    dual = viewed(addresses=[V4, V6], service={"headless": True}, replicas=2)["agent_args"]
    assert dual == [
        "--router=billing-db", "--address=198.51.100.50/24", "--address=2001:db8::50/64", "--gateway=198.51.100.1",
        "--gateway=2001:db8::1", "--mac=02:e6:c6:33:64:32", "--replicas=2", "--headless",
    ]  # fmt: skip


def test_selectors_survive_an_upgrade() -> None:
    found = viewed()
    assert "app.kubernetes.io/version" not in found["selector"]
    assert found["labels"] == {**found["selector"], "app.kubernetes.io/version": VERSION}


def test_network_configuration() -> None:
    config = json.loads(viewed(master="eth1", macvlan_mode="vepa", mtu=1400)["network_config"])
    assert config["plugins"][0] == {"type": "macvlan", "mode": "vepa", "master": "eth1", "mtu": 1400}
    assert "ipam" not in config["plugins"][0]
    assert config["plugins"][1]["sysctl"]["net.ipv4.conf.IFNAME.rp_filter"] == "2"
    assert not [key for key in config["plugins"][1]["sysctl"] if "ipv6" in key]
    plain = json.loads(viewed(addresses=[V6])["network_config"])
    assert plain["plugins"][0] == {"type": "macvlan", "mode": "bridge"}
    assert plain["plugins"][1]["sysctl"]["net.ipv6.conf.all.forwarding"] == "1"
    assert json.loads(viewed()["network_annotation"]) == [{"name": "billing-db", "interface": "net1"}]


def test_service() -> None:
    found = viewed(
        fallback_ip="203.0.113.99",
        service={"name": "db", "extra_ports": [{"port": "53", "protocol": "udp"}], "labels": {"team": "pay"}},
    )["service"]
    assert found["dns_name"] == "db.payments.svc"
    assert found["ports"] == [
        {"name": "metrics", "port": 29797, "protocol": "TCP"},
        {"name": "udp-53", "port": 53, "protocol": "UDP"},
    ]
    assert (found["ip_families"], found["ip_family_policy"]) == (["IPv4"], "SingleStack")
    assert found["labels"]["team"] == "pay" and found["labels"]["app.kubernetes.io/instance"] == "billing-db"
    dual = viewed(addresses=[V6, V4])["service"]
    assert (dual["ip_families"], dual["ip_family_policy"]) == (["IPv6", "IPv4"], "RequireDualStack")


def test_endpoint_slices_follow_the_families() -> None:
    assert viewed(addresses=[V6])["endpoint_slices"] == [
        {"name": "billing-db-ipv6", "family": 6, "address_type": "IPv6"}
    ]


def test_objects_of_an_absent_router() -> None:
    routers, _problems = load([{"name": "old", "namespace": "payments", "state": "absent", "service": {"name": "db"}}])
    found = view(routers[0])
    assert "agent_args" not in found
    assert ("Service", "db") in [(item["kind"], item["name"]) for item in found["objects"]]
    assert [item["name"] for item in found["objects"] if item["kind"] == "EndpointSlice"] == ["old-ipv4", "old-ipv6"]


def test_the_view_is_plain_data() -> None:
    json.dumps(viewed(tolerations=[{"operator": "Exists"}], resources={"limits": {"memory": "1Gi"}}))
