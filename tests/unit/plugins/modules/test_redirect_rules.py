# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module redirect_rules: twelve states, many routers, and faults."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._contract import names
from ansible_collections.egress.router.plugins.module_utils._contract.identity import VARIABLE, EgressAddress, Identity
from ansible_collections.egress.router.plugins.module_utils._contract.status import CONFLICT
from ansible_collections.egress.router.plugins.module_utils._kubernetes import cluster as _cluster
from ansible_collections.egress.router.plugins.module_utils._kubernetes import redirect_rules as _redirect_rules
from ansible_collections.egress.router.tests.support import fake_api_server
from ansible_collections.egress.router.tests.support.fake_api_server import LEASE_SECONDS, FakeCluster, add_router

from .conftest import Run

DB = {"port": 5432, "destination_ip": "203.0.113.10"}
WEB = {"port": 8080, "destination_ip": "203.0.113.11", "target_port": 80}
DNS = {"port": 53, "protocol": "UDP", "destination_ip": "203.0.113.12"}
DB_LINE, WEB_LINE, DNS_LINE = "5432 TCP 203.0.113.10", "8080 TCP 203.0.113.11 80", "53 UDP 203.0.113.12"


@pytest.fixture(autouse=True)
def _short_rollback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_redirect_rules, "ROLLBACK_SECONDS", 0.2)


def router(*rules: dict[str, Any], name: str = "billing-db", **more: Any) -> dict[str, Any]:
    return {"name": name, "namespace": "payments", "redirect_rules": list(rules), **more}


def text(cluster: FakeCluster, name: str = "billing-db") -> str:
    item = cluster.objects[("configmaps", "payments", f"{name}-rules")]
    return (item.get("data") or {}).get("rules", "")


def lines(cluster: FakeCluster, name: str = "billing-db") -> list[str]:
    return [line for line in text(cluster, name).splitlines() if not line.startswith("#")]


def ports(cluster: FakeCluster, name: str = "billing-db") -> set[str]:
    return {port["name"] for port in cluster.objects[("services", "payments", name)]["spec"]["ports"]}


# The twelve states: create, modify and delete; in check mode and for real; each twice.
STATES: dict[str, Any] = {
    "create": ("", {"routers": [router(DB)]}, [DB_LINE], {"tcp-5432"}),
    "modify": (f"{DB_LINE}\n", {"routers": [router(WEB)]}, [WEB_LINE], {"tcp-8080"}),
    "delete": (f"{DB_LINE}\n", {"routers": [router(DB)], "state": "deleted"}, [], set()),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("check", [True, False], ids=["check", "real"])
def test_twelve_states(cluster: FakeCluster, run: Run, state: str, check: bool) -> None:
    before, options, after, after_ports = STATES[state]
    add_router(cluster, "payments", "billing-db", before)
    start_lines, start_ports = lines(cluster), ports(cluster)

    first = run("redirect_rules", check=check, **options)
    assert first["changed"] is True
    assert first["routers"][0]["before"] == start_lines
    assert first["routers"][0]["after"] == after
    assert first["diff"][0]["before"].splitlines() == start_lines
    assert first["diff"][0]["after"].splitlines() == after
    if check:
        assert (lines(cluster), ports(cluster)) == (start_lines, start_ports)
        assert cluster.writes and all(write.startswith("dry run") for write in cluster.writes)
    else:
        assert (lines(cluster), ports(cluster)) == (after, {names.AGENT_PORT_NAME, *after_ports})

    cluster.writes.clear()
    second = run("redirect_rules", check=check, **options)
    # Check mode predicts the same again; a real run has nothing left to do, and writes nothing.
    assert second["changed"] is check
    assert not [write for write in cluster.writes if not write.startswith("dry run")]
    assert check or not cluster.writes


def test_merged_adds_and_replaces_and_keeps_the_rest(cluster: FakeCluster, run: Run) -> None:
    add_router(cluster, "payments", "billing-db", f"{DB_LINE}\n{DNS_LINE}\nfallback 203.0.113.99\n")
    result = run("redirect_rules", state="merged", routers=[router({**DB, "destination_ip": "203.0.113.13"}, WEB)])
    assert result["changed"]
    assert lines(cluster) == [DNS_LINE, "5432 TCP 203.0.113.13", WEB_LINE, "fallback 203.0.113.99"]
    assert ports(cluster) == {"metrics", "udp-53", "tcp-5432", "tcp-8080"}


def test_deleted_needs_no_destination_and_leaves_the_rest(cluster: FakeCluster, run: Run) -> None:
    add_router(cluster, "payments", "billing-db", f"{DB_LINE}\n{DNS_LINE}\n53 TCP 203.0.113.12\n")
    run("redirect_rules", state="deleted", routers=[router({"port": 53, "protocol": "udp"})])
    assert lines(cluster) == ["53 TCP 203.0.113.12", DB_LINE]


def test_deleted_without_rules_deletes_all_but_an_empty_list_nothing(cluster: FakeCluster, run: Run) -> None:
    add_router(cluster, "payments", "billing-db", f"{DB_LINE}\nfallback 203.0.113.99\n")
    assert not run("redirect_rules", state="deleted", routers=[router()])["changed"]
    assert run("redirect_rules", state="deleted", routers=[{"name": "billing-db", "namespace": "payments"}])["changed"]
    assert lines(cluster) == []


def test_deleted_takes_only_the_fallback_that_is_named(cluster: FakeCluster, run: Run) -> None:
    add_router(cluster, "payments", "billing-db", f"{DB_LINE}\nfallback 203.0.113.99\n")
    assert not run("redirect_rules", state="deleted", routers=[router(fallback_ip="203.0.113.98")])["changed"]
    assert run("redirect_rules", state="deleted", routers=[router(fallback_ip="203.0.113.99")])["changed"]
    assert lines(cluster) == [DB_LINE]


def test_deleting_from_a_router_that_is_not_there_changes_nothing(run: Run) -> None:
    result = run("redirect_rules", state="deleted", routers=[router(DB)])
    assert not result["changed"] and not result.get("failed")


def test_many_routers_at_once(cluster: FakeCluster, run: Run) -> None:
    for number in range(20):
        add_router(cluster, "payments", f"r{number}")
    result = run("redirect_rules", routers=[router(DB, name=f"r{number}") for number in range(20)])
    assert [item["name"] for item in result["routers"]] == [f"r{number}" for number in range(20)]
    assert all(item["changed"] and item["seconds"] >= 0 for item in result["routers"])
    assert all(lines(cluster, f"r{number}") == [DB_LINE] for number in range(20))
    # One list for each kind, however many routers.
    lists = [request for request in cluster.requests if "labelSelector" in request]
    assert len(lists) == 2, lists


def test_a_port_goes_before_its_rule_and_comes_after_it(cluster: FakeCluster, run: Run) -> None:
    add_router(cluster, "payments", "billing-db", f"{DB_LINE}\n{DNS_LINE}\n")
    seen: list[set[str]] = []
    cluster.watchers.append(lambda plural, item: seen.append(ports(cluster)) if plural == "configmaps" else None)
    run("redirect_rules", routers=[router(DB, WEB)])
    assert seen == [{"metrics", "tcp-5432"}]
    assert ports(cluster) == {"metrics", "tcp-5432", "tcp-8080"}


def test_a_headless_service_gets_no_ports(cluster: FakeCluster, run: Run) -> None:
    add_router(cluster, "payments", "billing-db", headless=True)
    run("redirect_rules", routers=[router(DB)])
    assert lines(cluster) == [DB_LINE]
    assert ports(cluster) == {"metrics"}


def test_lost_service_ports_come_back(cluster: FakeCluster, run: Run) -> None:
    add_router(cluster, "payments", "billing-db", f"{DB_LINE}\n")
    service = cluster.objects[("services", "payments", "billing-db")]
    service["spec"]["ports"] = service["spec"]["ports"][:1]
    service["metadata"]["managedFields"] = service["metadata"]["managedFields"][:1]
    result = run("redirect_rules", routers=[router(DB)])
    assert result["diff"][0]["after"].splitlines() == [DB_LINE, "service port 5432/TCP"]
    assert ports(cluster) == {"metrics", "tcp-5432"}


def test_a_service_port_of_somebody_else_is_not_taken(cluster: FakeCluster, run: Run) -> None:
    add_router(cluster, "payments", "billing-db")
    service = cluster.objects[("services", "payments", "billing-db")]
    service["spec"]["ports"].append({"name": "mine", "port": 5432, "protocol": "TCP"})
    owned = {".": {}, "f:name": {}, "f:port": {}, "f:protocol": {}}
    service["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:ports"]['k:{"port":5432,"protocol":"TCP"}'] = owned
    result = run("redirect_rules", routers=[router(DB)])
    assert result["failed"]
    assert "the ports of its Service could not be changed" in result["msg"]
    assert result["msg"].endswith("The previous rules are restored in ConfigMap payments/billing-db-rules and live")
    assert result["changed"] is False and lines(cluster) == []


def test_check_mode_predicts_for_a_router_that_is_not_deployed_yet(cluster: FakeCluster, run: Run) -> None:
    result = run("redirect_rules", check=True, routers=[router(DB)])
    assert result["changed"] and result["routers"][0]["after"] == [DB_LINE]
    assert cluster.writes == []


def test_a_router_that_is_not_deployed(run: Run) -> None:
    result = run("redirect_rules", routers=[router(DB)])
    assert result["failed"]
    assert result["msg"] == (
        "router payments/billing-db: ConfigMap payments/billing-db-rules does not exist: deploy the router first"
    )


def test_every_problem_of_the_options_at_once(cluster: FakeCluster, run: Run) -> None:
    result = run(
        "redirect_rules",
        routers=[
            router({"port": 70000, "destination_ip": "db.example.com"}, {"port": 1}),
            router(DB, DB, name="other"),
            router(name="other"),
        ],
    )
    assert result["msg"].splitlines() == [
        "router payments/billing-db, redirect_rules[0].port: '70000' is not a whole number from 1 to 65535",
        "router payments/billing-db, redirect_rules[0].destination_ip: 'db.example.com' is not an IP address "
        "(host names and networks are not supported)",
        "router payments/billing-db, redirect_rules[1].destination_ip: is required",
        "router payments/other, redirect_rules: port 5432/TCP is redirected twice to 203.0.113.10: keep one of the two "
        "rules",
        "router payments/other: is in the list twice: put its rules into one item",
    ]
    assert cluster.requests == []


@pytest.mark.parametrize("as_text", [False, True])
def test_more_rules_than_a_router_takes(cluster: FakeCluster, run: Run, as_text: bool) -> None:
    add_router(cluster, "payments", "billing-db")
    many = [{"port": port, "destination_ip": "203.0.113.10"} for port in range(1, 5002)]
    lines = "".join(f"{port} TCP 203.0.113.10\n" for port in range(1, 5002))
    given = {"namespace": "payments", "name": "billing-db", "text": lines} if as_text else router(*many)
    result = run("redirect_rules", routers=[given])
    assert re.fullmatch(
        r"router payments/billing-db, (redirect_rules|text): 5001 rules are more than the 5000 that a router takes: "
        r"spread them over several routers",
        result["msg"],
    )
    assert cluster.requests == []


def test_more_merged_rules_than_a_router_takes(cluster: FakeCluster, run: Run) -> None:
    lines = "".join(f"{port} TCP 203.0.113.10\n" for port in range(1, 4001))
    add_router(cluster, "payments", "billing-db", lines)
    many = [{"port": port, "destination_ip": "203.0.113.10"} for port in range(4001, 8001)]
    result = run("redirect_rules", state="merged", routers=[router(*many)])
    assert "8000 rules are more than the 5000" in result["msg"] and result["changed"] is False
    assert cluster.writes == []


def test_a_refusal_brings_the_previous_rules_back(cluster: FakeCluster, run: Run) -> None:
    add_router(cluster, "payments", "billing-db", f"{DB_LINE}\n", mood="the map is full")
    before = text(cluster)
    result = run("redirect_rules", routers=[router(WEB)])
    assert result["failed"]
    assert result["msg"] == (
        "router payments/billing-db: its agent refused the rules: the map is full. "
        "The previous rules are restored in ConfigMap payments/billing-db-rules and live"
    )
    assert result["changed"] is False
    assert text(cluster) == before
    assert ports(cluster) == {"metrics", "tcp-5432"}


def test_silence_brings_the_previous_rules_back(cluster: FakeCluster, run: Run) -> None:
    agent = add_router(cluster, "payments", "billing-db", f"{DB_LINE}\n", mood="silent")
    result = run("redirect_rules", routers=[router(WEB)], wait_timeout=1)
    assert (
        "its agent did not confirm the rules within 1 s: pod billing-db-abc is still serving the previous 1 rule"
        in result["msg"]
    )
    assert lines(cluster) == [DB_LINE] and ports(cluster) == {"metrics", "tcp-5432"}

    agent.report(state=CONFLICT, error="198.51.100.50 is in use by 02:42:00:00:00:01")
    result = run("redirect_rules", routers=[router(WEB)], wait_timeout=1)
    assert "pod billing-db-abc cannot serve: 198.51.100.50 is in use by 02:42:00:00:00:01" in result["msg"]


def test_a_config_map_without_rules_is_so_again_after_a_refusal(cluster: FakeCluster, run: Run) -> None:
    add_router(cluster, "payments", "billing-db", mood="the map is full")
    assert run("redirect_rules", routers=[router(WEB)])["failed"]
    assert names.RULES_KEY not in (cluster.objects[("configmaps", "payments", "billing-db-rules")].get("data") or {})


def test_the_previous_rules_do_not_overwrite_those_of_somebody_else(cluster: FakeCluster, run: Run) -> None:
    add_router(cluster, "payments", "billing-db", f"{DB_LINE}\n", mood="silent")

    def edit(plural: str, item: dict[str, Any]) -> None:
        if plural == "configmaps":
            cluster.add("configmaps", "payments", "billing-db-rules", data={"rules": f"{DNS_LINE}\n"})

    cluster.watchers.append(edit)
    result = run("redirect_rules", routers=[router(WEB)], wait_timeout=0)
    assert "The previous rules were not restored: somebody else has changed ConfigMap" in result["msg"]
    assert lines(cluster) == [DNS_LINE]


def test_old_words_of_a_dead_agent_are_no_confirmation(cluster: FakeCluster, run: Run) -> None:
    add_router(cluster, "payments", "billing-db", f"{DB_LINE}\n")
    cluster.objects[("leases", "payments", "billing-db")]["spec"]["renewTime"] = "2026-01-01T00:00:00.000000Z"
    result = run("redirect_rules", routers=[router(DB)], wait_timeout=0)
    assert "pod billing-db-abc has not renewed its lease" in result["msg"]


def test_unchanged_rules_that_the_agent_refused(cluster: FakeCluster, run: Run) -> None:
    agent = add_router(cluster, "payments", "billing-db", f"{DB_LINE}\n")
    agent.live = _redirect_rules.RuleSet()
    version = cluster.objects[("configmaps", "payments", "billing-db-rules")]["metadata"]["resourceVersion"]
    agent.report(rules_version=version, rules_error="no address of that family")
    result = run("redirect_rules", routers=[router(DB)])
    assert result["msg"] == (
        "router payments/billing-db: its agent refused the rules: no address of that family. "
        "The rules were in ConfigMap payments/billing-db-rules before, they are left there"
    )
    assert cluster.writes == []


BINARY = {names.RULES_KEY: "//5kAGIA"}


def test_rules_that_are_no_text_are_replaced(cluster: FakeCluster, run: Run) -> None:
    agent = add_router(cluster, "payments", "billing-db", f"{DB_LINE}\n")
    item = cluster.objects[("configmaps", "payments", "billing-db-rules")]
    item.pop("data")
    item["binaryData"] = {**BINARY, "other": "//5k"}
    said = "key rules is in binaryData: save it as UTF-8 text"
    result = run("redirect_rules", state="merged", routers=[router(WEB)])
    assert result["failed"] and said in result["msg"]
    agent.mood = "the map is full"
    assert run("redirect_rules", routers=[router(WEB)])["failed"]
    assert cluster.objects[("configmaps", "payments", "billing-db-rules")]["binaryData"] == {**BINARY, "other": "//5k"}
    agent.mood = "obey"
    assert run("redirect_rules", routers=[router(WEB)])["changed"]
    assert lines(cluster) == [WEB_LINE]
    assert cluster.objects[("configmaps", "payments", "billing-db-rules")]["binaryData"] == {"other": "//5k"}


def test_a_lost_config_map_is_made_with_the_rules_at_once(cluster: FakeCluster, run: Run) -> None:
    agent = add_router(cluster, "payments", "billing-db", f"{DB_LINE}\n")
    del cluster.objects[("configmaps", "payments", "billing-db-rules")]
    assert "deploy the router first" in run("redirect_rules", state="merged", routers=[router(WEB)])["msg"]
    seen: list[list[str]] = []
    cluster.watchers.append(lambda plural, item: seen.append(lines(cluster)) if plural == "configmaps" else None)
    agent.mood = "the map is full"
    result = run("redirect_rules", routers=[router(WEB)])
    assert result["msg"].endswith("billing-db-rules, which was not there before, is removed again")
    assert result["changed"] is False and ports(cluster) == {"metrics", "tcp-5432"}
    agent.mood = "obey"
    assert run("redirect_rules", check=True, routers=[router(WEB)])["changed"]
    assert run("redirect_rules", routers=[router(WEB)])["changed"]
    assert seen == [[WEB_LINE], [WEB_LINE]] and ports(cluster) == {"metrics", "tcp-8080"}
    assert not run("redirect_rules", routers=[router(WEB)])["changed"]


def test_without_waiting_nobody_is_asked(cluster: FakeCluster, run: Run) -> None:
    add_router(cluster, "payments", "billing-db", mood="silent")
    result = run("redirect_rules", wait=False, routers=[router(DB)])
    assert result["changed"] and result["routers"][0]["seconds"] is None
    assert not [request for request in cluster.requests if "leases" in request]


def _edited_once(cluster: FakeCluster, rules: str) -> None:
    """Somebody else writes the rules just before the module does."""
    edits = [rules]

    def fault(method: str, path: str) -> None:
        if method == "PUT" and edits:
            old = cluster.objects[("configmaps", "payments", "billing-db-rules")]
            cluster.add(
                "configmaps", "payments", "billing-db-rules",
                metadata={"labels": old["metadata"]["labels"]}, data={"rules": edits.pop()},
            )  # fmt: skip

    cluster.fault = fault


def test_replaced_is_told_of_the_conflict(cluster: FakeCluster, run: Run) -> None:
    add_router(cluster, "payments", "billing-db", f"{DB_LINE}\n")
    _edited_once(cluster, f"{DNS_LINE}\n")
    result = run("redirect_rules", routers=[router(WEB)])
    assert "changed by somebody else between read and write. These were not written: run again" in result["msg"]
    assert result["changed"] is True, "the ports, and nothing else"
    assert result["routers"][0]["before"] == [DB_LINE, "service port 5432/TCP"]
    assert result["routers"][0]["after"] == [DB_LINE, "service port 53/UDP"]
    assert lines(cluster) == [DNS_LINE]
    assert ports(cluster) == {"metrics", "udp-53"}, "those of the rules that are there"


def test_replaced_by_two_runs_with_the_same_rules_is_no_conflict(cluster: FakeCluster, run: Run) -> None:
    agent = add_router(cluster, "payments", "billing-db", f"{DB_LINE}\n")
    _edited_once(cluster, f"{WEB_LINE}\n")
    agent.live = _redirect_rules.parse(WEB_LINE)
    agent.report()
    result = run("redirect_rules", routers=[router(WEB)])
    assert not result.get("failed") and lines(cluster) == [WEB_LINE]


@pytest.mark.parametrize(("state", "rules", "after"), [
    ("merged", [WEB], [DNS_LINE, WEB_LINE]),
    ("deleted", [DB], [DNS_LINE]),
])  # fmt: skip
def test_merged_and_deleted_start_over_after_a_conflict(
    cluster: FakeCluster, run: Run, state: str, rules: list[dict[str, Any]], after: list[str]
) -> None:
    add_router(cluster, "payments", "billing-db", f"{DB_LINE}\n")
    _edited_once(cluster, f"{DNS_LINE}\n" if state == "merged" else f"{DNS_LINE}\n{DB_LINE}\n")
    result = run("redirect_rules", state=state, routers=[router(*rules)])
    assert not result.get("failed"), result["msg"]
    assert lines(cluster) == after


def test_the_ports_of_another_run_stay(cluster: FakeCluster, run: Run) -> None:
    """Both runs set all the ports of the rules' owner: the later one must know the earlier one's."""
    add_router(cluster, "payments", "billing-db")

    def another_run(plural: str, item: dict[str, Any]) -> None:
        if plural == "configmaps":
            cluster.watchers.remove(another_run)
            run_in_between.append(item)
            cluster.add(
                "configmaps", "payments", "billing-db-rules",
                metadata={"labels": item["metadata"]["labels"]}, data={"rules": f"{DB_LINE}\n{DNS_LINE}\n"},
            )  # fmt: skip

    run_in_between: list[dict[str, Any]] = []
    cluster.watchers.append(another_run)
    result = run("redirect_rules", state="merged", routers=[router(DB)])
    assert run_in_between and not result.get("failed"), result
    assert ports(cluster) == {"metrics", "tcp-5432", "udp-53"}


def test_rules_that_were_broken_by_hand(cluster: FakeCluster, run: Run) -> None:
    add_router(cluster, "payments", "billing-db", f"{DB_LINE}\n")
    cluster.objects[("configmaps", "payments", "billing-db-rules")]["data"]["rules"] = "5432 TCPP 203.0.113.10\n"
    for state in ("merged", "deleted"):
        result = run("redirect_rules", state=state, routers=[router(WEB)])
        assert f"its current rules cannot be read, so nothing can be {state}: line 1" in result["msg"]
    result = run("redirect_rules", routers=[router(WEB)])
    assert result["routers"][0]["before"] == ["5432 TCPP 203.0.113.10"]
    assert lines(cluster) == [WEB_LINE]


def test_a_partial_failure_says_how_far_the_others_came(cluster: FakeCluster, run: Run) -> None:
    add_router(cluster, "payments", "a")
    add_router(cluster, "payments", "b", f"{DB_LINE}\n")
    result = run("redirect_rules", routers=[router(DB, name="a"), router(DB, name="b"), router(DB, name="c")])
    assert result["msg"].splitlines() == [
        "router payments/c: ConfigMap payments/c-rules does not exist: deploy the router first",
        "changed and live: payments/a",
        "unchanged: payments/b",
    ]
    assert result["changed"] is True


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cluster, "PAUSES", (0.0,))
    monkeypatch.setattr(_redirect_rules, "PAUSES", (0.0,))


def failing(method: str, plural: str, times: int, status: int = 500) -> Callable[[str, str], tuple[int, str] | None]:
    """Fails some times, then does what is asked."""
    left = [times]

    def fault(asked: str, path: str) -> tuple[int, str] | None:
        if asked == method and plural in path and "?" not in path and left[0] > 0:
            left[0] -= 1
            return status, "etcd is busy"
        return None

    return fault


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize(("method", "plural"), [("PUT", "configmaps"), ("GET", "leases"), ("PATCH", "services")])
@pytest.mark.usefixtures("no_pauses")
def test_a_server_that_fails_once_is_asked_again(
    cluster: FakeCluster, run: Run, method: str, plural: str, status: int
) -> None:
    add_router(cluster, "payments", "billing-db", f"{DB_LINE}\n")
    cluster.fault = failing(method, plural, 1, status)
    result = run("redirect_rules", routers=[router(WEB)])
    assert not result.get("failed") and result["changed"], result
    assert lines(cluster) == [WEB_LINE] and ports(cluster) == {"metrics", "tcp-8080"}


@pytest.mark.usefixtures("no_pauses")
def test_a_write_that_fails_leaves_rules_and_ports(cluster: FakeCluster, run: Run) -> None:
    add_router(cluster, "payments", "billing-db", f"{DB_LINE}\n")
    cluster.fault = failing("PUT", "configmaps", 99)
    result = run("redirect_rules", routers=[router(WEB)])
    assert result["failed"] and "etcd is busy" in result["msg"] and result["changed"] is False
    assert lines(cluster) == [DB_LINE] and ports(cluster) == {"metrics", "tcp-5432"}


@pytest.mark.usefixtures("no_pauses")
def test_a_write_that_was_done_although_the_server_failed_is_a_change(cluster: FakeCluster, run: Run) -> None:
    add_router(cluster, "payments", "billing-db", f"{DB_LINE}\n")
    real, lost = cluster._handle, []

    def handle(method: str, *rest: Any) -> Any:
        answer = real(method, *rest)
        if method == "PUT" and not lost:
            lost.append(answer)
            raise fake_api_server.ApiError(500, "the answer is lost")
        return answer

    cluster._handle = handle  # type: ignore[method-assign]
    result = run("redirect_rules", routers=[router(WEB)])
    assert lost and not result.get("failed") and result["changed"], result
    assert lines(cluster) == [WEB_LINE] and ports(cluster) == {"metrics", "tcp-8080"}


@pytest.mark.parametrize(("plural", "fault"), [
    ("leases", (403, "no")), ("leases", (400, "no")), ("leases", (500, "no")), ("services", (403, "no")),
])  # fmt: skip
@pytest.mark.usefixtures("no_pauses")
def test_whatever_ends_a_run_after_the_write_brings_the_previous_rules_back(
    cluster: FakeCluster, run: Run, plural: str, fault: tuple[int, str]
) -> None:
    add_router(cluster, "payments", "billing-db", f"{DB_LINE}\n")
    written: list[bool] = []
    cluster.watchers.append(lambda kind, item: written.append(True) if kind == "configmaps" else None)
    cluster.fault = lambda method, path: fault if written and f"/{plural}/" in path and len(written) < 2 else None
    result = run("redirect_rules", routers=[router(DB, WEB)], wait_timeout=0)
    assert result["failed"] and result["changed"] is False
    assert result["msg"].endswith("The previous rules are restored in ConfigMap payments/billing-db-rules and live")
    assert lines(cluster) == [DB_LINE] and ports(cluster) == {"metrics", "tcp-5432"}


@pytest.mark.usefixtures("no_pauses")
def test_an_odd_answer_after_the_write_brings_the_previous_rules_back(cluster: FakeCluster, run: Run) -> None:
    add_router(cluster, "payments", "billing-db", f"{DB_LINE}\n", mood="silent")
    cluster.objects[("leases", "payments", "billing-db")]["spec"]["renewTime"] = "yesterday"
    result = run("redirect_rules", routers=[router(WEB)], wait_timeout=0)
    assert result["failed"] and result["changed"] is False
    assert lines(cluster) == [DB_LINE] and ports(cluster) == {"metrics", "tcp-5432"}


@pytest.mark.usefixtures("no_pauses")
def test_a_server_that_fails_from_the_write_on(cluster: FakeCluster, run: Run) -> None:
    add_router(cluster, "payments", "billing-db", f"{DB_LINE}\n")
    gone: list[bool] = []
    cluster.watchers.append(lambda kind, item: gone.append(True) if kind == "configmaps" else None)
    cluster.fault = lambda method, path: (503, "etcd is gone") if gone else None
    result = run("redirect_rules", routers=[router(WEB)], wait_timeout=0)
    assert result["failed"] and result["changed"] is True
    assert "The previous rules could not be restored" in result["msg"] and "is not known: run again" in result["msg"]


def test_missing_rights(cluster: FakeCluster, run: Run) -> None:
    add_router(cluster, "payments", "billing-db")
    said = 'configmaps "x" is forbidden: User "ann" cannot update resource "configmaps" in API group "" in the ...'
    cluster.fault = lambda method, path: (403, said) if method == "PUT" else None
    result = run("redirect_rules", routers=[router(DB)])
    assert result["msg"] == (
        "router payments/billing-db: ann may not update configmaps in namespace payments: "
        "grant it with a Role and a RoleBinding"
    )


def test_wrong_credentials(cluster: FakeCluster, run: Run) -> None:
    cluster.fault = lambda method, path: (401, "Unauthorized") if "configmaps" in path else None
    assert (
        "does not accept the credentials to list ConfigMaps of namespace payments"
        in (run("redirect_rules", routers=[router(DB)])["msg"])
    )


def test_wrong_credentials_before_it_is_known_what_the_server_has(cluster: FakeCluster, run: Run) -> None:
    cluster.fault = lambda method, path: (401, "Unauthorized")
    message = run("redirect_rules", routers=[router(DB)])["msg"]
    assert message.startswith("the API server at the given address does not accept the credentials: renew the ")


def test_an_api_server_that_is_not_there(run: Run) -> None:
    result = run("redirect_rules", host="http://127.0.0.1:1", routers=[router(DB)])
    assert result["msg"].startswith("cannot reach the API server at http://127.0.0.1:1: ")


def test_the_same_rules_with_other_names_are_a_change_that_is_live_at_once(cluster: FakeCluster, run: Run) -> None:
    add_router(cluster, "payments", "billing-db", f"{DB_LINE}\n")
    result = run("redirect_rules", routers=[router({**DB, "name": "ledger"})])
    assert result["changed"] and lines(cluster) == [f"{DB_LINE} name=ledger"]


def as_text(*rules: str, **more: Any) -> dict[str, Any]:
    return {"name": "billing-db", "namespace": "payments", "text": "".join(f"{rule}\n" for rule in rules), **more}


@pytest.mark.parametrize(("state", "rules", "after"), [
    ("replaced", ["# a comment", WEB_LINE, "fallback 203.0.113.99"], [WEB_LINE, "fallback 203.0.113.99"]),
    ("replaced", [], []),
    ("merged", [WEB_LINE], [DNS_LINE, DB_LINE, WEB_LINE, "fallback 203.0.113.98"]),
    ("deleted", [DB_LINE, "fallback 203.0.113.98"], [DNS_LINE]),
    ("deleted", [], [DNS_LINE, DB_LINE, "fallback 203.0.113.98"]),
])  # fmt: skip
def test_rules_as_text(cluster: FakeCluster, run: Run, state: str, rules: list[str], after: list[str]) -> None:
    add_router(cluster, "payments", "billing-db", f"{DB_LINE}\n{DNS_LINE}\nfallback 203.0.113.98\n")
    result = run("redirect_rules", state=state, routers=[as_text(*rules)])
    assert not result.get("failed"), result
    assert sorted(lines(cluster)) == sorted(after)


def test_text_that_is_no_rules(cluster: FakeCluster, run: Run) -> None:
    result = run(
        "redirect_rules",
        routers=[
            as_text("5432 TCPP 203.0.113.10", "x"),
            as_text(
                *(
                    "29798 UDP 203.0.113.10",
                    "29797 TCP 203.0.113.10",
                    "29798 TCP 203.0.113.10",
                    "29799 UDP 203.0.113.10",
                ),
                name="b",
            ),
        ],
    )
    assert result["msg"].splitlines() == [
        "router payments/billing-db, text: line 1 '5432 TCPP 203.0.113.10': protocol 'TCPP' is not one of TCP, UDP, SCTP",
        "router payments/billing-db, text: line 2 'x': a rule is PORT PROTOCOL DESTINATION_IP [TARGET_PORT] [source=SOURCE_IP] [name=NAME]",
        "router payments/b, text: 29797/TCP is the router's own port for probes and metrics: choose another port",
        "router payments/b, text: 29798/UDP is the router's own port for messages between its pods: choose another port",
        "router payments/b, text: 29799/UDP is the router's own port for connections that its pods relay to one another: choose "
        "another port",
    ]
    for other in ({"redirect_rules": []}, {"fallback_ip": "203.0.113.99"}):
        assert "mutually exclusive" in run("redirect_rules", routers=[as_text(DB_LINE, **other)])["msg"]
    assert cluster.requests == []


WHOLE = {"addresses": [{"ip": "198.51.100.50/24", "gateway": "198.51.100.1"}], "image": "x:1"}


def test_the_list_of_all_other_modules(cluster: FakeCluster, run: Run) -> None:
    add_router(cluster, "payments", "billing-db")
    options = {
        "routers": [{**WHOLE, "name": "billing-db", "redirect_rules": [DB]}, {"name": "old", "state": "absent"}],
        "defaults": {"namespace": "payments", "fallback_ip": "203.0.113.99"},
    }
    result = run("redirect_rules", **options)
    assert [item["name"] for item in result["routers"]] == ["billing-db"]
    assert lines(cluster) == [DB_LINE, "fallback 203.0.113.99"]
    # A router without rules names none.
    options["routers"] = [{**WHOLE, "name": "billing-db"}]
    assert not run("redirect_rules", state="deleted", routers=options["routers"], defaults={"namespace": "payments"})[
        "changed"
    ]


def test_problems_of_the_whole_list_stop_it(cluster: FakeCluster, run: Run) -> None:
    result = run("redirect_rules", routers=[{"name": "billing-db", "mtu": 1}, 5], defaults={})
    assert result["failed"] and len(result["msg"].splitlines()) == 5, result["msg"]
    assert cluster.requests == []


def test_a_list_of_absent_routers_needs_no_cluster(cluster: FakeCluster, run: Run) -> None:
    absent = {"name": "old", "namespace": "payments", "state": "absent"}
    result = run("redirect_rules", routers=[absent], defaults={})
    assert not result["changed"] and result["routers"] == [] and cluster.requests == []


@pytest.mark.parametrize("ahead", [-7200.0, 7200.0])
def test_a_clock_that_is_not_the_clusters(cluster: FakeCluster, run: Run, ahead: float) -> None:
    cluster.ahead = ahead
    add_router(cluster, "payments", "billing-db")
    result = run("redirect_rules", routers=[router(DB)])
    assert result["changed"] and not result.get("failed"), result
    # The last report grows old by the cluster's clock.
    cluster.ahead = ahead + 2 * LEASE_SECONDS
    assert "has not renewed its lease" in run("redirect_rules", routers=[router(DB)], wait_timeout=0)["msg"]


def test_the_proxy_is_named(run: Run) -> None:
    result = run("redirect_rules", proxy="http://ann:secret@127.0.0.1:1", routers=[router(DB)])
    assert " through the proxy http://127.0.0.1:1: " in result["msg"] and "secret" not in result["msg"]


FROM = {**DB, "source_ip": "198.51.100.51"}


def deployed(cluster: FakeCluster, *addresses: str, source: str = "first") -> None:
    """What the Deployment says of the router, and its agent, which reports 198.51.100.50 alone, does not yet."""
    identity = Identity("billing-db", tuple(map(EgressAddress, addresses)), "02:e6:c6:33:64:32", source=source)
    container = {"env": [{"name": VARIABLE, "value": identity.to_json()}]}
    spec = cluster.objects[("deployments", "payments", "billing-db")]["spec"]
    spec["template"] = {"spec": {"containers": [container]}}


@pytest.mark.parametrize("check", [True, False], ids=["check", "real"])
@pytest.mark.parametrize(
    ("addresses", "source", "said"),
    [
        ((), "", "is not an address of the router: choose one of 198.51.100.50, or add it to addresses first"),
        (("198.51.100.52/24",), "first", "is not an address of the router: choose one of 198.51.100.52, or add it to addresses first"),
        (("198.51.100.50/24", "198.51.100.51/24"), "spread", "cannot be used with source 'spread', which uses all addresses"),
        (("198.51.100.50/24", "198.51.100.51/24"), "first", ""),
    ],
    ids=["as the agent reports", "as deployed", "spread", "right"],
)  # fmt: skip
def test_a_source_is_an_address_of_the_router(
    cluster: FakeCluster, run: Run, check: bool, addresses: tuple[str, ...], source: str, said: str
) -> None:
    add_router(cluster, "payments", "billing-db", f"{WEB_LINE}\n")
    if addresses:
        deployed(cluster, *addresses, source=source)
    result = run("redirect_rules", check=check, routers=[router(FROM)])
    if said:
        assert f"router payments/billing-db: port 5432/TCP: source_ip '198.51.100.51' {said}" in result["msg"]
        assert lines(cluster) == [WEB_LINE] and not [w for w in cluster.writes if not w.startswith("dry run")]
    else:
        assert result["routers"][0]["after"] == [f"{DB_LINE} source=198.51.100.51"]


def test_addresses_that_provision_would_have_added(cluster: FakeCluster, run: Run) -> None:
    """In check mode nobody has: what the list says was looked at when it was read."""
    add_router(cluster, "payments", "billing-db", f"{WEB_LINE}\n")
    wanted = {"routers": [router(FROM)], "after_deploy": True}
    assert run("redirect_rules", check=True, **wanted)["changed"]
    assert "is not an address of the router" in run("redirect_rules", **wanted)["msg"]


def test_who_may_not_read_deployments_leaves_it_to_the_agent(cluster: FakeCluster, run: Run) -> None:
    agent = add_router(cluster, "payments", "billing-db", f"{WEB_LINE}\n")
    deployed(cluster, "198.51.100.50/24")
    said = (
        'deployments.apps "billing-db" is forbidden: User "jane" cannot get resource "deployments" in API group "apps"'
    )
    cluster.fault = lambda _method, path: (403, said) if "/deployments/" in path else None
    agent.report(addresses="198.51.100.50/24,198.51.100.51/24")
    assert run("redirect_rules", check=True, routers=[router(FROM)])["changed"]
