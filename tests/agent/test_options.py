# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of the pod's command that change what is served."""

from __future__ import annotations

from router import EGRESS4
from waiting import until


def test_a_family_without_egress_address_is_refused(make_pod) -> None:
    pod = make_pod()
    pod.addresses, pod.gateways = [f"{EGRESS4}/24"], ["198.51.100.1"]
    pod.serve()
    version = pod.put_rules("80 TCP 2001:db8:113::10\n")
    until(lambda: pod.status().rules_version == version, "the agent dealt with the rules")
    assert "the router has no IPv6 egress address" in pod.status().rules_error
    assert (pod.endpoints(4) != [], pod.endpoints(6)) == (True, [])


def test_headless_and_extra_ports(make_pod) -> None:
    pod = make_pod()
    pod.options = ["--extra-port=8443/TCP"]
    pod.put_rules("80 TCP 203.0.113.10\nfallback 203.0.113.99\n")
    pod.serve()
    ports = {port["name"] for port in pod.api.get("endpointslices", "billing-db-ipv4")["ports"]}
    assert ports == {"metrics", "tcp-80", "tcp-8443"}
    pod.terminate()
    pod.options = ["--extra-port=8443/TCP", "--headless"]
    pod.serve()
    ports = {port["name"] for port in pod.api.get("endpointslices", "billing-db-ipv4")["ports"]}
    assert ports == {"metrics"}
