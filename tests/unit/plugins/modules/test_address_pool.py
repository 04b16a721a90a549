# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module address_pool: allocates, keeps, releases, asks the segment, and what it does when others are faster."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._contract.identity import VARIABLE
from ansible_collections.egress.router.plugins.module_utils._contract.inspect import Answer, Occupancy, Question
from ansible_collections.egress.router.plugins.module_utils._kubernetes.module import EgressModule
from ansible_collections.egress.router.plugins.module_utils._pools.allocation import SELECTOR
from ansible_collections.egress.router.plugins.module_utils._pools.option import with_addresses
from ansible_collections.egress.router.plugins.module_utils._router.manifests import identity
from ansible_collections.egress.router.plugins.module_utils._router.routers import load
from ansible_collections.egress.router.tests.support.fake_api_server import FakeCluster, add_router

from .conftest import Run

DEFAULTS = {"image": "img:1", "namespace": "payments", "master": "eth1"}
POOL = {
    "name": "partners",
    "ranges": ["198.51.100.64-198.51.100.67"],
    "prefix_length": 24,
    "gateway": "198.51.100.1",
}
SPACE = "pools"
MAC = "02:00:5e:00:53:01"


class Segment:
    """The nodes' kubelets, and who answers on the segment. `busy`: MAC addresses by address."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        self.busy: dict[str, str] = {}
        self.of_node: dict[str, str] = {}
        self.error = ""
        self.asked: list[list[str]] = []
        cluster.watchers.append(self._start)

    def _start(self, plural: str, item: dict[str, Any]) -> None:
        if plural != "pods":
            return
        metadata, spec = item["metadata"], item["spec"]
        stored = self.cluster.objects[("pods", metadata["namespace"], metadata["name"])]
        ended = {"terminated": {"exitCode": 0, "reason": "Completed"}}
        stored["status"] = {"phase": "Succeeded", "containerStatuses": [{"name": "inspect", "state": ended}]}
        question = Question.from_json(spec["containers"][0]["env"][0]["value"])
        self.asked.append([target.ip for target in question.targets])
        targets = tuple(
            Occupancy(
                one.ip, one.mac, one.master,
                holder_mac=self.busy.get(one.ip), node_has_ip_on=self.of_node.get(one.ip), error=self.error,
            )
            for one in question.targets
        )  # fmt: skip
        self.cluster.logs[f"{metadata['name']}/inspect"] = Answer(targets=targets).to_json()


@pytest.fixture
def cluster(cluster: FakeCluster) -> FakeCluster:
    status = {
        "conditions": [{"type": "Ready", "status": "True"}],
        "addresses": [
            {"type": "Hostname", "address": "worker-1"},
            {"type": "InternalIP", "address": "198.51.100.65"},
        ],
    }
    cluster.add("nodes", "", "worker-1", metadata={"labels": {"kubernetes.io/os": "linux"}}, spec={}, status=status)
    return cluster


@pytest.fixture(autouse=True)
def segment(cluster: FakeCluster) -> Segment:
    return Segment(cluster)


@pytest.fixture(autouse=True)
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(EgressModule, "warn", lambda _module, text: found.append(text))
    return found


def router(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "addresses": [{"pool": "partners", **more.pop("ask", {})}], **more}


def pools(run: Run, *routers: Any, **options: Any) -> dict[str, Any]:
    given = {"pools": [POOL], "namespace": SPACE, "defaults": DEFAULTS, "routers": list(routers), **options}
    return run("address_pool", **given)


def got(result: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["ip"] for one in result["addresses"]}


def objects(cluster: FakeCluster) -> dict[str, Any]:
    return {
        name: item
        for (plural, space, name), item in cluster.objects.items()
        if (plural, space) == ("configmaps", SPACE)
    }


def age(cluster: FakeCluster, name: str, **time: int) -> None:
    """Lets an address have been released longer ago."""
    at = datetime.now(timezone.utc) - timedelta(**time)
    annotations = objects(cluster)[f"egress-address-{name}"]["metadata"]["annotations"]
    annotations["egress.router/released-at"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_check_then_real_twice(run: Run, cluster: FakeCluster) -> None:
    predicted = pools(run, router("a"), router("b"), check=True)
    assert got(predicted) == {"a": "198.51.100.64/24", "b": "198.51.100.66/24"}, "65 is a node's"
    assert predicted["changed"] and objects(cluster) == {}
    result = pools(run, router("a"), router("b"))
    assert (got(result), result["changed"]) == (got(predicted), True)
    assert result["addresses"][0] == {
        "name": "a", "namespace": "payments", "pool": "partners", "number": 1, "ip": "198.51.100.64/24",
        "gateway": "198.51.100.1", "new": True,
    }  # fmt: skip
    assert list(objects(cluster)) == ["egress-address-198.51.100.64", "egress-address-198.51.100.66"]
    for check in (True, False):
        cluster.requests.clear()
        again = pools(run, router("b"), router("a"), check=check)
        assert (got(again), again["changed"], again["diff"]) == (got(result), False, []), "whatever the order"
        assert [one["new"] for one in again["addresses"]] == [False, False]
        assert (again["requests"], len([line for line in cluster.requests if "configmaps" in line])) == (1, 1)


def test_the_object(run: Run, cluster: FakeCluster) -> None:
    result = pools(run, router("a"))
    (metadata,) = (item["metadata"] for item in objects(cluster).values())
    assert metadata["labels"] == {
        **dict(pair.split("=") for pair in SELECTOR.split(",")),
        "egress.router/pool": "partners",
        "egress.router/router": "a",
        "egress.router/router-namespace": "payments",
    }
    assert metadata["annotations"].pop("egress.router/allocated-at").endswith("Z")
    assert metadata["annotations"] == {"egress.router/address": "198.51.100.64"}
    assert "ownerReferences" not in metadata
    (diff,) = result["diff"]
    assert (diff["before"], diff["after_header"]) == ("", "ConfigMap pools/egress-address-198.51.100.64")
    assert "egress.router/router: a" in diff["after"]


def test_ipv6(run: Run, cluster: FakeCluster) -> None:
    six = {"name": "six", "ranges": ["2001:db8::50-2001:db8::5f"], "prefix_length": 64, "gateway": "fe80::1"}
    both = {"name": "a", "addresses": [{"pool": "partners"}, {"pool": "six"}]}
    result = pools(run, both, pools=[POOL, six])
    assert [one["ip"] for one in result["addresses"]] == ["198.51.100.64/24", "2001:db8::50/64"]
    assert "egress-address-2001-0db8-0000-0000-0000-0000-0000-0050" in objects(cluster)
    assert not pools(run, both, pools=[POOL, six])["changed"]


def many(name: str, *asked: dict[str, str]) -> dict[str, Any]:
    return {"name": name, "addresses": [{"pool": "partners", **one} for one in asked]}


def hosts(result: dict[str, Any], router: dict[str, Any]) -> list[str]:
    """The router's addresses as they are filled in."""
    (found,) = with_addresses(result, {"routers": [router], "defaults": DEFAULTS})["routers"]
    return [one["ip"][len("198.51.100.") : -len("/24")] for one in found["addresses"]]


def test_several_addresses_of_one_pool(run: Run, cluster: FakeCluster) -> None:
    two = many("a", {}, {})
    for check in (True, False):
        result = pools(run, two, check=check)
        assert (hosts(result, two), result["changed"]) == (["64", "66"], True), "65 is a node's"
        assert [one["number"] for one in result["addresses"]] == [1, 2]
    for check in (True, False):
        again = pools(run, two, check=check)
        assert (hosts(again, two), again["changed"], again["diff"]) == (["64", "66"], False, [])
    annotations = [item["metadata"]["annotations"] for item in objects(cluster).values()]
    assert [one.get("egress.router/number") for one in annotations] == [None, "2"]


def test_a_further_address_becomes_the_first(run: Run) -> None:
    pools(run, many("a", {}))
    more = many("a", {"ip": "198.51.100.67"}, {})
    for check in (True, False):
        result = pools(run, more, check=check)
        assert (hosts(result, more), result["changed"]) == (["67", "64"], True)
    assert [one["after_header"] for one in result["diff"]] == [
        f"ConfigMap pools/egress-address-198.51.100.{host}" for host in (67, 64)
    ]
    assert "egress.router/number: '2'" in result["diff"][1]["after"]
    unnamed = many("a", {}, {})
    again = pools(run, unnamed)
    assert (hosts(again, unnamed), again["changed"]) == (["67", "64"], False), "the order is known without ip"


@pytest.mark.parametrize("release", [True, False])
def test_fewer_addresses(run: Run, cluster: FakeCluster, release: bool) -> None:
    three = many("a", {}, {}, {})
    pools(run, three)
    fewer = many("a", {"ip": "198.51.100.66"})
    for check in (True, False):
        result = pools(run, fewer, check=check, release_unused=release)
        assert (hosts(result, fewer), result["changed"]) == (["66"], True)
        listed = [one["ip"] for one in result["released" if release else "unused"]]
        assert listed == ["198.51.100.64", "198.51.100.67"]
    for check in (True, False):
        again = pools(run, fewer, check=check, release_unused=release)
        assert (hosts(again, fewer), again["changed"]) == (["66"], False)
    assert hosts(pools(run, three), three) == ["66", "64", "67"], "the first one stays"


def test_another_run_was_faster_with_another_one_of_the_same_router(run: Run, cluster: FakeCluster) -> None:
    faster(cluster, "a")
    two = many("a", {"ip": "198.51.100.67"}, {})
    assert hosts(pools(run, two), two) == ["67", "66"], "64 is the first of the other list"


def test_another_router_that_goes_changes_nothing(run: Run) -> None:
    pools(run, router("a"), router("b"))
    assert got(pools(run, router("b"), router("c"))) == {"b": "198.51.100.66/24", "c": "198.51.100.67/24"}


def test_a_list_without_requests_creates_nothing(run: Run, cluster: FakeCluster) -> None:
    result = pools(run, {"name": "a", "addresses": [{"ip": "198.51.100.9/24"}]})
    assert (result["changed"], result["addresses"], objects(cluster)) == (False, [], {})


def test_bad_input_before_anything_is_asked(run: Run, cluster: FakeCluster) -> None:
    result = pools(run, router("a", mtu=1), router("b", ask={"ip": "198.51.100.9"}), pools=[POOL])
    assert result["failed"] and len(result["msg"].splitlines()) == 2
    assert cluster.requests == []


# The cluster and the segment


def test_addresses_of_other_egress_routers(run: Run, cluster: FakeCluster) -> None:
    deployed(cluster, "other", "198.51.100.64")
    spec = {"addresses": [{"ip": "198.51.100.66/24"}]}
    cluster.add("egressrouters", "elsewhere", "cno", spec=spec)
    assert got(pools(run, router("a"))) == {"a": "198.51.100.67/24"}


def test_a_deployed_router_keeps_its_address_without_being_asked_for(
    run: Run, cluster: FakeCluster, segment: Segment
) -> None:
    deployed(cluster, "a", "198.51.100.66")
    segment.busy = {"198.51.100.66": MAC}
    assert got(pools(run, router("a"))) == {"a": "198.51.100.66/24"}
    assert segment.asked == [], "the router itself would answer"


def deployed(cluster: FakeCluster, name: str, ip: str) -> None:
    add_router(cluster, "payments", name)
    (one,), problems = load([{"name": name, "addresses": [{"ip": f"{ip}/24"}]}], DEFAULTS)
    assert not problems
    container = {"env": [{"name": VARIABLE, "value": identity(one).to_json()}]}
    deployment = cluster.objects[("deployments", "payments", name)]
    deployment["spec"]["template"] = {"spec": {"containers": [container]}}


@pytest.mark.parametrize("check", [True, False])
def test_who_answers_on_the_segment_keeps_the_address(
    run: Run, cluster: FakeCluster, segment: Segment, warned: list[str], check: bool
) -> None:
    segment.busy = {"198.51.100.64": MAC}
    segment.of_node = {"198.51.100.66": "eth1"}
    result = pools(run, router("a"), check=check)
    assert got(result) == {"a": "198.51.100.67/24"}
    assert segment.asked == [["198.51.100.64", "198.51.100.66", "198.51.100.67"]], "with spare ones, once"
    assert result["skipped"] == [
        {"ip": "198.51.100.64", "reason": f"is in use by {MAC}, as node worker-1 sees it"},
        {"ip": "198.51.100.66", "reason": "is an address of the node, on eth1, as node worker-1 sees it"},
    ]
    assert warned == [f"{one['ip']} is not allocated: it {one['reason']}" for one in result["skipped"]]
    assert [key for key in cluster.objects if key[0] in ("pods", "namespaces")] == [], "the pods are gone"


def test_an_address_that_is_asked_for_and_answers(run: Run, segment: Segment, cluster: FakeCluster) -> None:
    segment.busy = {"198.51.100.66": MAC}
    result = pools(run, router("a", ask={"ip": "198.51.100.66"}))
    assert "'198.51.100.66' of pool partners is in use by 02:00:5e:00:53:01" in result["msg"]
    assert segment.asked == [["198.51.100.66"]] and objects(cluster) == {}


def test_each_segment_is_asked_once(run: Run, segment: Segment) -> None:
    pools(run, router("a"), router("b"), router("c", master="eth2"), pools=[{**POOL, "ranges": ["198.51.100.64/28"]}])
    hosts = [64, 66, 67, 68, 69, 70, 71]
    assert segment.asked == [[f"198.51.100.{host}" for host in hosts] * 2], (
        "for a and b once, and for c on its own master"
    )


def test_more_rounds_until_one_is_free(run: Run, segment: Segment) -> None:
    segment.busy = {f"198.51.100.{host}": MAC for host in range(64, 76)}
    result = pools(run, router("a"), pools=[{**POOL, "ranges": ["198.51.100.64-198.51.100.95"]}])
    assert got(result) == {"a": "198.51.100.76/24"}
    assert len(segment.asked) == 3


def test_everybody_answers(run: Run, segment: Segment) -> None:
    segment.busy = {f"198.51.100.{host}": MAC for host in range(64, 68)}
    said = pools(run, router("a"))["msg"]
    assert "pool partners (198.51.100.64-198.51.100.67) is full. Not available: 198.51.100.64 is" in said
    assert "198.51.100.65 is an address of node worker-1" in said and f"198.51.100.64 is in use by {MAC}" in said


@pytest.mark.parametrize("reason", ["off", "forbidden", "no nodes", "not ready", "error"])
def test_a_segment_that_cannot_be_asked_is_a_warning(
    run: Run, cluster: FakeCluster, segment: Segment, warned: list[str], reason: str
) -> None:
    options: dict[str, Any] = {}
    said = {
        "off": "the node checks are switched off",
        "forbidden": "no privileged pods here",
        "no nodes": "the nodes are not known",
        "not ready": "no node that can run the routers is ready",
        "error": "node worker-1: eth1 is down",
    }[reason]
    if reason == "off":
        options["node_checks"] = False
    elif reason == "forbidden":
        cluster.fault = lambda method, path: (403, said) if method == "POST" and path.endswith("/namespaces") else None
    elif reason == "no nodes":
        cluster.fault = lambda method, path: (
            (403, 'User "jane" cannot list resource "nodes"') if path.endswith("/nodes") else None
        )
    elif reason == "not ready":
        cluster.objects[("nodes", "", "worker-1")]["status"]["conditions"] = []
    else:
        segment.error = "eth1 is down"
    result = pools(run, router("a"), **options)
    assert got(result) == {"a": "198.51.100.64/24"}
    (line,) = [line for line in warned if "was not asked everywhere" in line]
    assert line.startswith("whether somebody uses 198.51.100.64 on the segment") and said in line


def test_other_namespaces_may_be_out_of_reach(run: Run, cluster: FakeCluster, warned: list[str]) -> None:
    deployed(cluster, "other", "198.51.100.64")
    refusal = 'User "jane" cannot list resource "deployments"'
    cluster.fault = lambda _method, path: (403, refusal) if path.endswith("/v1/deployments") else None
    assert got(pools(run, router("a"))) == {"a": "198.51.100.66/24"}, "those of the list's namespace are known"
    assert [line for line in warned if "addresses that are in use there may be allocated" in line]


# Others at the same time


def faster(cluster: FakeCluster, *names: str, host: int = 64) -> None:
    """Somebody else creates the object just before, for each of these routers the next address."""
    waiting = list(names)

    def look(method: str, path: str) -> None:
        if method == "POST" and path.endswith("/configmaps") and waiting:
            add_object(cluster, waiting.pop(0), host + len(names) - len(waiting) - 1)

    cluster.fault = look


def add_object(cluster: FakeCluster, router_name: str, host: int, **annotations: str) -> dict[str, Any]:
    labels = {
        **dict(pair.split("=") for pair in SELECTOR.split(",")),
        "egress.router/pool": "partners",
        "egress.router/router": router_name,
        "egress.router/router-namespace": "payments",
    }
    of_address = {
        "egress.router/address": f"198.51.100.{host}",
        "egress.router/allocated-at": "2026-11-26T09:30:00Z",
        **annotations,
    }
    name = f"egress-address-198.51.100.{host}"
    return cluster.add("configmaps", SPACE, name, metadata={"labels": labels, "annotations": of_address})


def test_another_run_was_faster(run: Run, cluster: FakeCluster) -> None:
    faster(cluster, "other")
    assert got(pools(run, router("a"), router("b"))) == {"a": "198.51.100.67/24", "b": "198.51.100.66/24"}


def test_another_run_for_the_same_router_was_faster(run: Run, cluster: FakeCluster) -> None:
    faster(cluster, "a")
    result = pools(run, router("a"))
    assert (got(result), result["changed"], len(objects(cluster))) == ({"a": "198.51.100.64/24"}, False, 1)


def test_the_last_address_went_to_another_run(run: Run, cluster: FakeCluster) -> None:
    one = {**POOL, "ranges": ["198.51.100.64", "198.51.100.66"]}
    faster(cluster, "x")
    result = pools(run, router("a"), router("b"), pools=[one])
    # The first one of the list takes the address that the second one was to have.
    assert result["failed"] and "router payments/a, addresses[0].pool: pool partners" in result["msg"], result["msg"]
    assert "Allocated: 198.51.100.64 payments/x" in result["msg"]
    faster(cluster, "y", host=66)
    result = pools(run, router("b"), pools=[one])
    assert "Allocated: 198.51.100.64 payments/x, 198.51.100.66 payments/y" in result["msg"]


def test_a_failure_halfway_says_what_was_done(run: Run, cluster: FakeCluster) -> None:
    fail_after(cluster, 1)
    result = pools(run, router("a"), router("b"))
    assert result["failed"] and "quota" in result["msg"]
    assert (
        "done before that: ConfigMap pools/egress-address-198.51.100.64. The next run goes on from there"
        in result["msg"]
    )
    assert got(result) == {"a": "198.51.100.64/24"} and result["changed"]
    cluster.fault = lambda method, path: None
    assert got(pools(run, router("b"), router("a"))) == {"a": "198.51.100.64/24", "b": "198.51.100.66/24"}


def fail_after(cluster: FakeCluster, count: int) -> None:
    seen: list[str] = []

    def look(method: str, path: str) -> tuple[int, str] | None:
        if method == "POST" and path.endswith("/configmaps"):
            seen.append(path)
            return (403, "exceeded quota") if len(seen) > count else None
        return None

    cluster.fault = look


# Namespaces


def test_a_namespace_that_does_not_exist(run: Run, cluster: FakeCluster) -> None:
    cluster.missing_namespaces.add(SPACE)
    result = pools(run, router("a"))
    assert result["msg"].startswith("namespace pools does not exist: create it, or set create_namespace")
    for check in (True, False):
        result = pools(run, router("a"), create_namespace=True, check=check)
        assert got(result) == {"a": "198.51.100.64/24"}
        assert [one["after_header"] for one in result["diff"]] == [
            "Namespace pools", "ConfigMap pools/egress-address-198.51.100.64",
        ]  # fmt: skip
        assert bool(objects(cluster)) is not check


# Release


@pytest.mark.parametrize("check", [True, False])
def test_release(run: Run, cluster: FakeCluster, check: bool) -> None:
    pools(run, router("a"), router("b"))
    result = pools(run, router("a"), state="absent", check=check)
    assert (result["changed"], [one["ip"] for one in result["released"]]) == (True, ["198.51.100.64"])
    annotations = objects(cluster)["egress-address-198.51.100.64"]["metadata"]["annotations"]
    assert ("egress.router/released-at" in annotations) is not check
    if not check:
        assert result["addresses"] == [] and not pools(run, router("a"), state="absent")["changed"]
        assert got(pools(run, router("b"))) == {"b": "198.51.100.66/24"}


def test_a_released_address_rests(run: Run, cluster: FakeCluster) -> None:
    pools(run, router("a"))
    pools(run, router("a"), state="absent")
    assert got(pools(run, router("c"))) == {"c": "198.51.100.66/24"}
    assert got(pools(run, router("a"))) == {"a": "198.51.100.64/24"}, "its own, at once"
    pools(run, router("a"), state="absent")
    age(cluster, "198.51.100.64", seconds=3601)
    result = pools(run, router("d"))
    assert got(result) == {"d": "198.51.100.64/24"}
    (diff,) = result["diff"]
    assert "router: a" in diff["before"] and "released-at" in diff["before"] and "released-at" not in diff["after"]
    assert len(objects(cluster)) == 2


def test_without_quarantine_the_object_is_deleted(run: Run, cluster: FakeCluster) -> None:
    pool = {**POOL, "quarantine_seconds": 0}
    pools(run, router("a"), pools=[pool])
    result = pools(run, router("a"), pools=[pool], state="absent", check=True)
    assert result["changed"] and len(objects(cluster)) == 1
    result = pools(run, router("a"), pools=[pool], state="absent")
    assert result["diff"][0]["after"] == "" and objects(cluster) == {}


def test_two_runs_take_one_released_address(run: Run, cluster: FakeCluster) -> None:
    add_object(cluster, "gone", 64, **{"egress.router/released-at": "2026-01-01T00:00:00Z"})
    seen: list[str] = []

    def look(method: str, path: str) -> None:
        if method == "PUT" and not seen:
            seen.append(path)
            add_object(cluster, "other", 64)

    cluster.fault = look
    assert got(pools(run, router("a"))) == {"a": "198.51.100.66/24"} and seen
    assert objects(cluster)["egress-address-198.51.100.64"]["metadata"]["labels"]["egress.router/router"] == "other"


def test_a_released_object_that_goes_meanwhile(run: Run, cluster: FakeCluster) -> None:
    add_object(cluster, "gone", 64, **{"egress.router/released-at": "2026-01-01T00:00:00Z"})

    def look(method: str, path: str) -> None:
        if method == "PUT":
            del cluster.objects[("configmaps", SPACE, path.rsplit("/", 1)[-1])]

    cluster.fault = look
    assert got(pools(run, router("a"))) == {"a": "198.51.100.64/24"}


def test_what_is_not_asked_for_any_more(run: Run) -> None:
    pools(run, router("a"), router("b"), router("c"))
    fixed = {"name": "b", "addresses": [{"ip": "198.51.100.9/24"}]}
    routers = [router("a", state="absent"), fixed, router("c")]
    result = pools(run, *routers)
    assert not result["changed"] and result["released"] == []
    assert [(one["name"], one["ip"]) for one in result["unused"]] == [("a", "198.51.100.64"), ("b", "198.51.100.66")]
    assert got(result)["a"] == "198.51.100.64/24", "its pairs on OpenStack are still to be removed"
    result = pools(run, *routers, release_unused=True)
    assert [one["name"] for one in result["released"]] == ["a", "b"] and result["unused"] == []
    assert not pools(run, *routers, release_unused=True)["changed"]


def test_a_renamed_pool(run: Run, cluster: FakeCluster) -> None:
    pools(run, router("a"))
    routers, renamed = {"name": "a", "addresses": [{"pool": "new"}]}, {**POOL, "name": "new"}
    assert pools(run, routers, pools=[renamed], check=True)["changed"]
    result = pools(run, routers, pools=[renamed])
    assert (got(result), result["addresses"][0]["new"]) == ({"a": "198.51.100.64/24"}, False)
    labels = objects(cluster)["egress-address-198.51.100.64"]["metadata"]["labels"]
    assert labels["egress.router/pool"] == "new" and not pools(run, routers, pools=[renamed])["changed"]


def test_a_pool_made_smaller_than_what_is_allocated(run: Run, cluster: FakeCluster) -> None:
    pools(run, router("a"), router("b"))
    before = len(objects(cluster))
    result = pools(run, router("c"), pools=[{**POOL, "ranges": ["198.51.100.65-198.51.100.67"]}])
    assert result["msg"] == (
        "egress_router_pools: pool partners (198.51.100.65-198.51.100.67) does not have 198.51.100.64 any more, which is allocated "
        "to router payments/a: put it into ranges again, or remove that router first"
    )
    assert len(objects(cluster)) == before


# Edited by hand


def test_an_edited_object_stops_new_allocations_only(run: Run, cluster: FakeCluster, warned: list[str]) -> None:
    pools(run, router("a"), router("b"))
    del objects(cluster)["egress-address-198.51.100.66"]["metadata"]["labels"]["egress.router/router"]
    said = "ConfigMap pools/egress-address-198.51.100.66 lacks the label egress.router/router: somebody has edited it"
    result = pools(run, router("a"), router("b"))
    assert result["msg"].startswith(said) and len(objects(cluster)) == 2
    assert not pools(run, router("a"))["changed"]
    (line,) = warned
    assert line.startswith(said)


def test_an_object_without_labels_is_not_overwritten(run: Run, cluster: FakeCluster, warned: list[str]) -> None:
    add_object(cluster, "x", 64)["metadata"]["labels"] = {}
    result = pools(run, router("a"))
    assert got(result) == {"a": "198.51.100.66/24"}
    assert result["skipped"][0]["ip"] == "198.51.100.64" and "lacks the labels" in result["skipped"][0]["reason"]
    assert [line for line in warned if "somebody has edited it" in line]
    assert objects(cluster)["egress-address-198.51.100.64"]["metadata"]["labels"] == {}


def test_a_router_does_not_move_because_somebody_has_edited_its_object(run: Run, cluster: FakeCluster) -> None:
    deployed(cluster, "a", "198.51.100.64")
    add_object(cluster, "a", 64)["metadata"]["labels"] = {}
    result = pools(run, router("a"))
    assert "the router is deployed with 198.51.100.64 of pool partners" in result["msg"], result["msg"]
    assert "somebody has edited it" in result["msg"] and len(objects(cluster)) == 1


def test_the_result_is_json(run: Run) -> None:
    json.dumps(pools(run, router("a")))
