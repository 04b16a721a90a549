# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""openstack_allowed_address_pair_info on a pretended cloud."""

from __future__ import annotations

import importlib
import json
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.egress.router.plugins.module_utils._common.errors import Forbidden
from ansible_collections.egress.router.plugins.module_utils._openstack import cloud as _openstack
from ansible_collections.egress.router.plugins.module_utils._openstack.port import Port
from ansible_collections.egress.router.tests.support.fake_cloud import SERVERS, FakeCloud

ONE = {"ip_address": "198.51.100.50", "mac_address": "02:e6:c6:33:64:32"}
TWO = {"ip_address": "198.51.100.51", "mac_address": "02:e6:c6:33:64:33"}


def info(cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **options: Any) -> Any:
    monkeypatch.setattr(_openstack.OpenStackModule, "connect", lambda module: cloud)
    module = importlib.import_module(
        "ansible_collections.egress.router.plugins.modules.openstack_allowed_address_pair_info"
    )
    with patch_module_args({"addresses": [ONE, TWO], "nodes": SERVERS[:2], **options}), pytest.raises(SystemExit):
        module.main()
    return json.loads(capsys.readouterr().out)


def test_what_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    cloud = FakeCloud()
    stored = {"ip_address": "198.51.100.50/32", "mac_address": "02-E6-C6-33-64-32"}
    cloud.change("p0", pairs=(stored,))
    cloud.change("p1", port_security=False)
    result = info(cloud, monkeypatch, capsys)
    assert not result["changed"]
    assert [port["allowed_address_pairs"] for port in result["ports"]] == [[stored], []]
    # Without port security nothing is missing.
    assert [port["missing"] for port in result["ports"]] == [[TWO], []]


def test_without_a_mac_address_nothing_is_missing_and_port_security_tells(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud = FakeCloud()
    cloud.change("p1", port_security=False)
    addresses = [{"ip_address": "198.51.100.50/32"}, TWO]
    ports = info(cloud, monkeypatch, capsys, addresses=addresses, writable=True)["ports"]
    assert [(port["port_security"], port["missing"]) for port in ports] == [(True, [TWO]), (False, [])]
    assert [port["addresses"] for port in ports] == [[{"ip_address": "198.51.100.50"}, TWO]] * 2
    (alone, _other) = info(cloud, monkeypatch, capsys, addresses=addresses[:1], writable=True)["ports"]
    assert (alone["missing"], alone["write_error"]) == ([], "")


def test_an_address_without_mac_address_is_checked_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    addresses = [{"ip_address": "198.51.100.0/24"}, {"ip_address": "x"}, {**ONE, "mac_address": ""}]
    said = info(FakeCloud(), monkeypatch, capsys, addresses=addresses)["msg"]
    assert (
        "is a network" in said
        and "'x' is not an IP address" in said
        and "mac_address of 198.51.100.50 is missing" in said
    )


def test_a_node_without_a_port(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    result = info(FakeCloud(), monkeypatch, capsys, nodes=[SERVERS[0].replace("1111", "9999")])
    assert result["failed"]
    assert "is visible" in result["msg"]


def test_whether_the_rest_can_be_added(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    cloud = FakeCloud()
    cloud.change("p0", pairs=(ONE, TWO))

    def forbidden(port: Port) -> None:
        raise Forbidden("may not change it")

    before = dict(cloud.all)
    assert [port["write_error"] for port in info(cloud, monkeypatch, capsys, writable=True)["ports"]] == ["", ""]
    cloud.before_write = forbidden
    found = info(cloud, monkeypatch, capsys, writable=True)["ports"]
    assert [port["write_error"] for port in found] == ["", "may not change it"]
    assert [port["write_error"] for port in info(cloud, monkeypatch, capsys)["ports"]] == ["", ""]
    cloud.guarded = False
    assert "does not have the extension" in info(cloud, monkeypatch, capsys, writable=True)["ports"][1]["write_error"]
    assert (cloud.written, cloud.all) == ([], before)
