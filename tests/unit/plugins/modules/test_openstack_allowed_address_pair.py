# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""openstack_allowed_address_pair on a pretended cloud: what it sends, retries, refuses and returns."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.egress.router.plugins.module_utils._common.errors import ApiError, Conflict
from ansible_collections.egress.router.plugins.module_utils._openstack import cloud as _openstack
from ansible_collections.egress.router.plugins.module_utils._openstack import pairs as _allowed_address
from ansible_collections.egress.router.plugins.module_utils._openstack.port import Port
from ansible_collections.egress.router.tests.support.fake_cloud import SERVERS, FakeCloud

Run = Callable[..., "dict[str, Any]"]
ADDRESS = {"ip_address": "198.51.100.50", "mac_address": "02:e6:c6:33:64:32"}
FOREIGN = (
    {"mac_address": "FA:16:3E:00:00:07", "ip_address": "198.51.100.7/32"},
    {"ip_address": "198.51.100.5", "mac_address": "fa-16-3e-00-00-05"},
)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> FakeCloud:
    fake = FakeCloud()
    monkeypatch.setattr(_openstack.OpenStackModule, "connect", lambda module: fake)
    for pause in ("JITTER", "PAUSE", "LONGEST_PAUSE"):
        monkeypatch.setattr(_allowed_address, pause, 0)
    return fake


@pytest.fixture
def run(cloud: FakeCloud, capsys: pytest.CaptureFixture[str]) -> Run:
    def run_module(check: bool = False, **options: Any) -> dict[str, Any]:
        name = "ansible_collections.egress.router.plugins.modules.openstack_allowed_address_pair"
        given = {"addresses": [ADDRESS], "nodes": SERVERS, **options}
        given.update(_ansible_check_mode=check, _ansible_diff=True)
        with patch_module_args(given), pytest.raises(SystemExit):
            importlib.import_module(name).main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    return run_module


def test_foreign_pairs_are_sent_as_they_were_read(cloud: FakeCloud, run: Run) -> None:
    cloud.change("p0", pairs=FOREIGN)
    assert run(nodes=SERVERS[:1])["changed"]
    assert repr(cloud.written) == repr([[*FOREIGN, ADDRESS]])
    assert not run(nodes=SERVERS[:1])["changed"]
    assert run(nodes=SERVERS[:1], state="absent")["changed"]
    assert repr(cloud.written[1:]) == repr([list(FOREIGN)])
    assert not run(nodes=SERVERS[:1], state="absent")["changed"]
    assert len(cloud.written) == 2


def test_check_mode_writes_nothing(cloud: FakeCloud, run: Run) -> None:
    predicted = run(check=True)
    assert predicted["changed"]
    assert cloud.written == []
    assert [entry["after"] for entry in predicted["diff"]] == ["198.51.100.50 02:e6:c6:33:64:32\n"] * 3
    assert run(check=True, reserve=True)["reservations"][0]["changed"]
    assert sorted(cloud.all) == ["p0", "p1", "p2"]


def test_reads_do_not_grow(cloud: FakeCloud, run: Run) -> None:
    addresses = [{**ADDRESS, "ip_address": f"198.51.100.{number}"} for number in range(50, 70)]
    run(addresses=addresses)
    assert cloud.calls == ["ports", "ports", "subnets"]
    assert len(cloud.written) == 3


def test_a_rival_is_not_overwritten(cloud: FakeCloud, run: Run) -> None:
    theirs = {"ip_address": "198.51.100.77", "mac_address": "fa:16:3e:00:00:77"}

    def write(port: Port) -> None:
        if port.id == "p0" and theirs not in cloud.all["p0"].pairs:
            cloud.change("p0", pairs=(theirs,))

    cloud.before_write = write
    result = run()
    assert list(cloud.all["p0"].pairs) == [theirs, ADDRESS]
    assert result["ports"][0]["before"] == [theirs]
    assert result["ports"][0]["after"] == [theirs, ADDRESS]


def test_a_rival_who_never_stops(cloud: FakeCloud, run: Run) -> None:
    tries = []

    def write(port: Port) -> None:
        tries.append(port.id)
        cloud.change(port.id)

    cloud.before_write = write
    result = run(nodes=SERVERS[:1])
    assert result["failed"]
    assert "changed by others during each of 10 attempts" in result["msg"]
    assert len(tries) == 10


def test_the_last_attempt_counts(cloud: FakeCloud, run: Run) -> None:
    tries = []

    def write(port: Port) -> None:
        tries.append(port.id)
        if len(tries) < 10:
            cloud.change(port.id)

    cloud.before_write = write
    assert run(nodes=SERVERS[:1])["changed"]
    assert list(cloud.all["p0"].pairs) == [ADDRESS]


def test_a_removal_that_is_undone_is_repeated(cloud: FakeCloud, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.change("p0", pairs=(ADDRESS,))
    late = [True]
    read = cloud.port

    def port(port_id: str) -> Port:
        if late and cloud.written:
            # Somebody's write that began before ours had ended.
            late.pop()
            cloud.change(port_id, pairs=(ADDRESS,))
        return read(port_id)

    monkeypatch.setattr(cloud, "port", port)
    result = run(nodes=SERVERS[:1], state="absent")
    assert not late
    assert cloud.all["p0"].pairs == ()
    assert result["ports"][0]["before"] == [ADDRESS]
    assert result["ports"][0]["after"] == []


def test_a_port_is_deleted_meanwhile(cloud: FakeCloud, run: Run) -> None:
    cloud.before_write = lambda port: cloud.all.pop("p1", None) and None
    result = run()
    assert result["failed"]
    assert result["msg"].endswith("was deleted while it was being changed: run again")
    # The others are done.
    assert [port["changed"] for port in result["ports"]] == [True, False, True]
    assert result["changed"]


def test_each_failure_is_told(cloud: FakeCloud, run: Run) -> None:
    def refuse(port: Port) -> None:
        if port.id != "p2":
            raise ApiError(f"no write to {port.id}")

    cloud.before_write = refuse
    result = run()
    assert result["msg"] == "no write to p0\nno write to p1"
    assert result["changed"]


def test_port_security_off(cloud: FakeCloud, run: Run) -> None:
    cloud.change("p0", port_security=False)
    result = run()
    assert [port["changed"] for port in result["ports"]] == [False, True, True]
    assert result["ports"][0]["port_security"] is False


def test_revisions_that_cannot_be_compared(cloud: FakeCloud, run: Run) -> None:
    cloud.guarded = False
    assert "does not have the extension revision-if-match" in run()["msg"]
    assert cloud.written == []
    assert run(allow_unguarded=True)["changed"]
    # Nothing to write, nothing to guard.
    assert not run().get("failed")


def test_reservation(cloud: FakeCloud, run: Run) -> None:
    made = run(reserve=True)
    assert [one["port_id"] for one in made["reservations"]] == ["r-198.51.100.50"]
    assert not run(reserve=True)["changed"]
    assert run(reserve=True, state="absent")["changed"]
    assert "r-198.51.100.50" not in cloud.all


SECOND = {**ADDRESS, "ip_address": "198.51.100.51"}


def test_reservations_of_several_addresses_with_one_mac(cloud: FakeCloud, run: Run) -> None:
    """Neutron takes a MAC address once on a network."""
    mac = ADDRESS["mac_address"]
    # The second one was alone before, so it has the MAC address, and keeps it.
    run(reserve=True, addresses=[SECOND])
    made = run(reserve=True, addresses=[ADDRESS, SECOND])
    assert [(one["ip_address"], one["changed"], one["error"]) for one in made["reservations"]] == [
        ("198.51.100.50", True, ""),
        ("198.51.100.51", False, ""),
    ]
    assert cloud.all["r-198.51.100.51"].mac == mac != cloud.all["r-198.51.100.50"].mac
    assert cloud.written[-1] == [SECOND, ADDRESS], "a pair for each"
    assert not run(reserve=True, addresses=[ADDRESS, SECOND])["changed"]
    # That of another router stays.
    other = {**ADDRESS, "mac_address": "02:00:00:00:00:09"}
    assert not run(reserve=True, addresses=[other], state="absent")["changed"]
    assert run(reserve=True, addresses=[ADDRESS, SECOND], state="absent")["changed"]
    assert not {"r-198.51.100.50", "r-198.51.100.51"} & set(cloud.all)


def test_a_taken_address(cloud: FakeCloud, run: Run) -> None:
    cloud.add(Port("px", "egress", "database-1", "dev", "compute:nova", fixed_ips=(("s4", "198.51.100.50"),)))
    result = run(reserve=True)
    assert result["msg"].startswith(
        "198.51.100.50 is already in use by port px (database-1, 198.51.100.50) of compute:nova dev"
    )
    assert cloud.written == []


def test_nodes_of_an_address_win(cloud: FakeCloud, run: Run) -> None:
    run(addresses=[{**ADDRESS, "nodes": SERVERS[1:2]}])
    assert [len(port.pairs) for port in cloud.all.values()] == [0, 1, 0]
    assert not run(addresses=[{**ADDRESS, "nodes": []}])["changed"]


def test_another_region(cloud: FakeCloud, run: Run) -> None:
    assert "is in region 'RegionTwo'" in run(nodes=[f"openstack://RegionTwo/{SERVERS[0]}"])["msg"]


@pytest.mark.parametrize(
    ("auth", "cloud_option", "hidden"),
    [
        ({"auth_url": "https://a", "username": "u", "password": "pw-1", "project_name": "p"}, None, {"pw-1"}),
        ({"application_credential_id": "id", "application_credential_secret": "s-1"}, None, {"s-1"}),
        ({"endpoint": "https://a", "token": "t-1"}, None, {"t-1"}),
        (
            None,
            {"region_name": "R", "password": "top-1", "auth": {"username": "u", "passcode": "otp-1"}},
            {"top-1", "otp-1"},
        ),
        (None, "production", set()),
        ({"password": None}, None, set()),
    ],
)
def test_secrets(auth: Any, cloud_option: Any, hidden: set[str]) -> None:
    assert _openstack._secrets(auth, cloud_option) == hidden


def test_only_another_revision_is_tried_again(cloud: FakeCloud, run: Run) -> None:
    tried: list[str] = []

    def refuse(port: Port) -> None:
        tried.append(port.id)
        raise Conflict("it was changed by others at the same time")

    cloud.before_write = refuse
    assert "(the last time: it was changed by others at the same time)" in run(nodes=SERVERS[:1])["msg"]
    assert len(tried) == _allowed_address.ATTEMPTS


def test_a_cloud_without_address_pairs(cloud: FakeCloud, run: Run) -> None:
    cloud.extensions.clear()
    result = run()
    assert result["msg"].startswith("Neutron does not have the extension allowed-address-pairs")
    assert cloud.written == []


@pytest.mark.parametrize("again", [True, False])
def test_a_reservation_that_cannot_be_replaced(cloud: FakeCloud, run: Run, again: bool) -> None:
    """It has another MAC address: Neutron refuses the new one when the old one is gone."""
    old = "02:00:00:00:00:09"
    cloud.reserve("egress", "s4", ADDRESS["ip_address"], old)
    real = cloud.reserve

    def reserve(network: str, subnet: str, address: str, mac: str, beside: bool = False) -> Port:
        if mac != old or not again:
            raise ApiError("Neutron answered 409: quota exceeded")
        return real(network, subnet, address, mac)

    cloud.reserve = reserve  # type: ignore[method-assign]
    result = run(reserve=True)
    (one,) = result["reservations"]
    if again:
        assert one["error"].endswith(
            f"quota exceeded. The previous reservation of 198.51.100.50, for {old}, was made anew"
        )
        assert cloud.all["r-198.51.100.50"].mac == old and not one["changed"]
    else:
        assert one["error"].endswith(
            "198.51.100.50 is not reserved any more, Neutron may assign it to others: run again"
        )
        assert "r-198.51.100.50" not in cloud.all and one["changed"]
