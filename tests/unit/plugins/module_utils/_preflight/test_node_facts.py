# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what `egress-router inspect` prints: a recorded answer, one of which little is known, and other texts."""

from __future__ import annotations

import json

import pytest

from ansible_collections.egress.router.plugins.module_utils._preflight.node_facts import (
    AnswerError,
    Interface,
    NodeFacts,
    Target,
    read_answer,
)

# Of a node of the lab.
RECORDED = {
    "schema": 1,
    "node": "worker-1",
    "kernel": "6.18.5",
    "interfaces": {
        "eth1": {
            "name": "eth1", "exists": True, "up": True, "carrier": True, "mtu": 1500, "kind": "veth", "driver": None,
            "mac": "02:00:5e:00:53:11", "addresses": ["198.51.100.11/24"], "enslaved_to": None, "enslaved_kind": None,
            "lower": [], "unicast_filter": ["02:e6:c6:33:64:32"], "promiscuous": 1, "macs_on_it": 2,
        }
    },
    "targets": [
        {
            "ip": "198.51.100.50", "mac": "02:e6:c6:33:64:32", "master": "eth1", "holder_mac": None, "node_has_ip_on": None,
            "mac_seen_at": "", "node_has_mac_on": "eth1", "mac_asked": True, "gateway_mac": "02:00:5e:00:53:01", "error": "",
        }
    ],
    "nft": {"usable": True, "concat_maps": True, "rules": None, "error": ""},
    "conntrack": {"max": 262144, "count": 37},
    "sysctl": {"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": None},
    "cni": {"directory": "/opt/cni/bin", "plugins": ["macvlan", "tuning"]},
}  # fmt: skip


def test_a_recorded_answer() -> None:
    assert read_answer(f"{json.dumps(RECORDED)}\n") == NodeFacts(
        kernel="6.18.5",
        interfaces={
            "eth1": Interface(
                "eth1", True, True, True, 1500, "veth", addresses=("198.51.100.11/24",), macs=2, promiscuous=1
            )
        },
        targets={
            ("198.51.100.50", "eth1"): Target(
                "198.51.100.50", "02:e6:c6:33:64:32", "eth1", mac_seen=True, node_has_mac_on="eth1",
                gateway_mac="02:00:5e:00:53:01",
            )
        },
        nft_usable=True,
        nft_maps=True,
        conntrack_max=262144,
        conntrack_count=37,
        sysctl={"net.ipv4.ip_forward": "1"},
        cni_directory="/opt/cni/bin",
        plugins=("macvlan", "tuning"),
    )  # fmt: skip


def test_little_is_known() -> None:
    found = read_answer('{"schema": 1, "interfaces": {"eth9": {"exists": false}}, "cni": {"plugins": null}}')
    assert found == NodeFacts(interfaces={"eth9": Interface("eth9", False)})


@pytest.mark.parametrize(("text", "said"), [
    ("", "did not print"), ("usage: egress-router", "did not print"), ("[1]", "did not print"),
    ('{"schema": 2}', "version 2 of the answer instead of 1"),
    ('{"schema": 1, "targets": [{}]}', "did not print"),
])  # fmt: skip
def test_other_texts(text: str, said: str) -> None:
    with pytest.raises(AnswerError, match=said):
        read_answer(text)
