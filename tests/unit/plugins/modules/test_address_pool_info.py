# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module address_pool_info: what is used, by whom, what is free, orphans, and what cannot be read."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._kubernetes.module import EgressModule
from ansible_collections.egress.router.tests.support.fake_api_server import FakeCluster, add_router

from .conftest import Run
from .test_address_pool import POOL, SPACE, add_object, objects


@pytest.fixture(autouse=True)
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(EgressModule, "warn", lambda _module, text: found.append(text))
    return found


def info(run: Run, *pools: Any, **options: Any) -> dict[str, Any]:
    return run("address_pool_info", pools=list(pools) or [POOL], namespace=SPACE, **options)


def released(seconds: int) -> dict[str, str]:
    at = datetime.now(timezone.utc) - timedelta(seconds=seconds)
    return {"egress.router/released-at": at.strftime("%Y-%m-%dT%H:%M:%SZ")}


def test_nothing_is_allocated(run: Run, cluster: FakeCluster) -> None:
    result = info(run)
    assert result.pop("pools") == [
        {
            "name": "partners", "ranges": ["198.51.100.64-198.51.100.67"], "subnet": "198.51.100.0/24",
            "gateway": "198.51.100.1", "size": 4, "free": 4, "used": [], "resting": [],
        }
    ]  # fmt: skip
    assert (result["changed"], result["addresses"], result["orphans"], result["others"]) == (False, [], [], [])
    assert result["requests"] == 1 and cluster.writes == []


def test_used_resting_free_and_orphans(run: Run, cluster: FakeCluster) -> None:
    add_router(cluster, "payments", "a")
    add_object(cluster, "a", 65)
    add_object(cluster, "gone", 64)
    add_object(cluster, "x", 66, **released(60))
    add_object(cluster, "y", 67, **released(4000))
    add_object(cluster, "z", 9)
    result = info(run)
    (pool,) = result["pools"]
    assert [(one["ip"], one["name"]) for one in pool["used"]] == [("198.51.100.64", "gone"), ("198.51.100.65", "a")]
    assert [(one["ip"], one["name"]) for one in pool["resting"]] == [("198.51.100.66", "x")]
    assert pool["resting"][0]["rests_until"] > datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert (pool["size"], pool["free"]) == (4, 1), "what has rested is free"
    assert result["orphans"] == [
        {"name": "z", "namespace": "payments", "pool": "partners", "ip": "198.51.100.9",
         "allocated_at": "2026-11-26T09:30:00Z", "config_map": "egress-address-198.51.100.9"},
        pool["used"][0],
    ]  # fmt: skip
    assert [one["name"] for one in result["others"]] == ["z"]
    assert result["addresses"] == [
        {"name": name, "namespace": "payments", "pool": "partners", "number": 1, "ip": f"198.51.100.{host}/24", "gateway": "198.51.100.1"}
        for name, host in (("gone", 64), ("a", 65))
    ]  # fmt: skip


def test_without_orphans_it_is_one_request(run: Run, cluster: FakeCluster) -> None:
    add_object(cluster, "gone", 64)
    result = info(run, orphans=False)
    assert (result["orphans"], result["requests"], len(result["addresses"])) == ([], 1, 1)


def test_what_may_not_be_read_is_no_orphan(run: Run, cluster: FakeCluster) -> None:
    add_object(cluster, "gone", 64)
    cluster.fault = lambda _method, path: (
        (403, 'User "jane" cannot list resource "leases"') if "leases" in path else None
    )
    assert info(run)["orphans"] == []


def test_an_edited_object_is_told_and_the_others_are_read(run: Run, cluster: FakeCluster, warned: list[str]) -> None:
    add_object(cluster, "a", 64)
    del add_object(cluster, "b", 65)["metadata"]["annotations"]["egress.router/address"]
    result = info(run)
    assert [one["name"] for one in result["addresses"]] == ["a"]
    assert warned == result["problems"]
    assert warned[0].startswith("ConfigMap pools/egress-address-198.51.100.65 has no address in the annotation")
    assert len(objects(cluster)) == 2


def test_bad_pools(run: Run, cluster: FakeCluster) -> None:
    result = info(run, {**POOL, "gateway": "x"}, {**POOL, "name": "b", "prefix_length": 0})
    assert len(result["msg"].splitlines()) == 2 and cluster.requests == []
