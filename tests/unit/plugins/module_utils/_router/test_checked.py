# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checked routers survive the way through a text, whatever keys they have."""

from __future__ import annotations

from ansible_collections.egress.router.plugins.module_utils._router import checked
from ansible_collections.egress.router.plugins.module_utils._router.routers import load

FULL = {
    "name": "billing-db",
    "namespace": "payments",
    "addresses": [{"ip": "198.51.100.50/24", "gateway": "198.51.100.1"}, {"ip": "2001:db8:51::50/64"}],
    "image": "registry.example.com/egress-router:1",
    "routes": [{"destination": "192.0.2.0/24", "gateway": "198.51.100.2"}],
    "master": "eth1",
    "mtu": 1400,
    "macvlan_mode": "private",
    "replicas": 2,
    "failover": {"beat_ms": 50, "promise_ms": 400, "lease_seconds": 9, "relay_seconds": 0, "without_api": "stop"},
    "disruption_budget": False,
    "monitoring": True,
    "monitoring_labels": {"release": "prometheus"},
    "service": {
        "name": "db",
        "headless": False,
        "extra_ports": [{"port": 8443}],
        "annotations": {"a": "b"},
        "labels": {"c": "d"},
    },
    "redirect_rules": [{"port": 53, "protocol": "UDP", "destination_ip": "203.0.113.12", "name": "dns"}],
    "fallback_ip": "203.0.113.99",
    "node_selector": {"zone": "a"},
    "tolerations": [{"key": "egress", "operator": "Exists"}],
    "resources": {"limits": {"memory": "512Mi"}},
    "pod_labels": {"team": "payments"},
    "pod_annotations": {"example.com/owner": "payments"},
    "priority_class_name": "important",
    "runtime_class_name": "crun",
    "image_pull_secrets": ["registry"],
    "host_users": False,
}


def test_what_is_dumped_is_loaded() -> None:
    routers, problems = load([FULL, {"name": "old", "namespace": "payments", "state": "absent"}])
    assert problems == []
    assert set(FULL) - {"redirect_rules", "fallback_ip"} <= set(vars(routers[0])), "every key is in it"
    assert checked.load(checked.dump(routers)) == routers
