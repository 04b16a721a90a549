# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fields of the router's identity that change what is served, and what is said when it cannot be read."""

from __future__ import annotations

import os
import subprocess

import pytest

from ansible_collections.egress.router.plugins.module_utils._contract.identity import VARIABLE, EgressAddress, Port
from ansible_collections.egress.router.tests.support.router_pod import EGRESS4, GATEWAY4
from ansible_collections.egress.router.tests.support.waiting import until


def test_a_family_without_egress_address_is_refused(make_pod) -> None:
    pod = make_pod()
    pod.addresses = (EgressAddress(f"{EGRESS4}/24", GATEWAY4),)
    pod.serve()
    version = pod.put_rules("80 TCP 2001:db8:113::10\n")
    until(lambda: pod.status().rules_version == version, "the agent dealt with the rules")
    assert "the router has no IPv6 address: add one" in pod.status().rules_error
    assert (pod.endpoints(4) != [], pod.endpoints(6)) == (True, [])


def test_headless_and_extra_ports(make_pod) -> None:
    pod = make_pod()
    pod.extra_ports = (Port(8443, "TCP"),)
    pod.put_rules("80 TCP 203.0.113.10\nfallback 203.0.113.99\n")
    pod.serve()
    ports = {port["name"] for port in pod.api.get("endpointslices", "billing-db-ipv4")["ports"]}
    assert ports == {"metrics", "tcp-80", "tcp-8443"}
    pod.terminate()
    pod.headless = True
    pod.serve()
    ports = {port["name"] for port in pod.api.get("endpointslices", "billing-db-ipv4")["ports"]}
    assert ports == {"metrics"}


@pytest.mark.parametrize(
    ("identity", "sentence"),
    [
        ("", "environment variable EGRESS_ROUTER is not set; the router's Deployment sets it"),
        ("billing-db", "EGRESS_ROUTER is not the description of a router: "),
        ("{}", "EGRESS_ROUTER is not the description of a router: "),
    ],
)
def test_the_command_says_in_one_line_why_it_does_not_start(identity: str, sentence: str) -> None:
    done = subprocess.run(
        ["/usr/bin/python3", "-m", "egress_router", "run"],
        env={**os.environ, VARIABLE: identity},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 2 and done.stdout == ""
    assert f"egress-router run: error: {sentence}" in done.stderr.splitlines()[-1]
