"""Many writers at once, on MariaDB: SQLite itself would fail."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import openstack
import pytest
from cloud import FOREIGN, Cloud

from ansible_collections.egress.router.plugins.module_utils._openstack import pairs as _pairs
from ansible_collections.egress.router.plugins.module_utils._openstack import reservation as _reservation
from ansible_collections.egress.router.plugins.module_utils._openstack.cloud import Cloud as Seam


def addresses(count: int) -> list[dict[str, str]]:
    return [
        {"ip_address": f"198.51.100.{100 + number}", "mac_address": f"02:e6:c6:33:64:{100 + number:02x}"}
        for number in range(count)
    ]


def at_once(wanted: list[dict[str, str]], server: str, present: bool) -> list[bool]:
    """One writer for each pair, each with a connection of its own, all at the same moment. Whether they changed it."""
    clouds = [Seam(openstack.connect(cloud="admin")) for _pair in wanted]
    begin = threading.Barrier(len(wanted))

    def write(cloud: Seam, pair: dict[str, str]) -> bool:
        requests = _pairs.read_requests({"addresses": [{**pair, "nodes": [server]}], "nodes": None})
        begin.wait(timeout=60)
        changes, _none = _reservation.ensure(cloud, requests, present, False, False, False)
        assert not changes[0].error
        return changes[0].changed

    with ThreadPoolExecutor(len(wanted)) as pool:
        return list(pool.map(write, clouds, wanted))


def test_no_writers_pair_is_lost(api: Cloud) -> None:
    # With the pairs of eight writers these are ten, Neutron's default limit.
    port = api.server(allowed_address_pairs=FOREIGN[:2])
    stored, wanted, before = api.pairs(port), addresses(8), api.revision(port)
    began = time.monotonic()
    assert at_once(wanted, port.device_id, present=True) == [True] * 8
    seconds = time.monotonic() - began
    kept = [pair for pair in wanted if pair in api.pairs(port)]
    print(f"\n{len(kept)} of 8 writers' pairs are there after {api.revision(port) - before} writes, {seconds:.1f} s")
    assert len(kept) == 8
    assert [pair for pair in api.pairs(port) if pair in stored] == stored


def test_what_is_taken_out_stays_out(api: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    # Other tests keep the same servers busy, so writes that overlap with ours may end late.
    monkeypatch.setattr(_pairs, "PAUSE", 1.5)
    wanted = addresses(4)
    port = api.server(allowed_address_pairs=[*FOREIGN, *wanted])
    stored = [pair for pair in api.pairs(port) if pair not in wanted]
    assert at_once(wanted, port.device_id, present=False) == [True] * 4
    assert api.pairs(port) == stored


def test_without_comparing_pairs_are_lost(api: Cloud) -> None:
    """The check of the first test: two who read, then both write."""
    port = api.server(allowed_address_pairs=FOREIGN)
    one, two = addresses(2)
    read = api.pairs(port)
    api.admin.network.update_port(port.id, allowed_address_pairs=[*read, one])
    api.admin.network.update_port(port.id, allowed_address_pairs=[*read, two])
    assert one not in api.pairs(port)
