# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events of routers: told once when a problem lasts, and once when it is over."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._events.tracker import Tracker

GOOD: dict[str, Any] = {
    "namespace": "payments", "name": "db", "serving": True, "state": "serving", "reason": "", "rules_error": "",
    "node": "worker-1", "pod": "db-abc", "failover": {"reason": ""}, "silent": False,
}  # fmt: skip
FAILED = {**GOOD, "serving": False, "state": "failed", "reason": "no carrier"}
CRASHED = {**GOOD, "serving": False, "reason": "pod db-abc: CrashLoopBackOff: exit code 1"}
SILENT = {**GOOD, "serving": False, "silent": True, "reason": "pod db-abc does not renew its lease"}
REFUSED = {**GOOD, "rules_error": "line 3: no port"}
ALONE = {**GOOD, "failover": {"reason": "no other pod could serve"}}
PATIENCE = 30.0
EDITED = "kubectl-edit changed the rules in ConfigMap payments/db-rules"
Router = dict[str, Any]


def told(*seen: tuple[float, Any], patience: float = PATIENCE) -> list[tuple[float, str]]:
    """When which event was told. What is seen: a list of routers, one of them, or what the API server said."""
    tracker = Tracker(patience)
    found = []
    for now, what in seen:
        events = (
            tracker.not_seen(now, what)
            if isinstance(what, str)
            else tracker.seen(now, [what] if isinstance(what, dict) else what)
        )
        found += [(now, event["kind"]) for event in events]
    return found


@pytest.mark.parametrize(
    ("router", "event", "reason"),
    [
        (FAILED, "not_serving", "no carrier"),
        ({**FAILED, "state": ""}, "not_serving", "no carrier"),
        # What a pod reported before it crashed says nothing of it.
        (CRASHED, "not_serving", "pod db-abc: CrashLoopBackOff: exit code 1"),
        (SILENT, "silent", "pod db-abc does not renew its lease"),
        (REFUSED, "rules_refused", "line 3: no port"),
        (ALONE, "no_successor", "no other pod could serve"),
    ],
)
def test_a_problem_that_lasts_and_its_end(router: dict[str, Any], event: str, reason: str) -> None:
    tracker = Tracker(PATIENCE)
    assert tracker.seen(0, [router]) == tracker.seen(29, [router]) == []
    assert tracker.seen(31, [router]) == [
        {
            "kind": event, "router": "payments/db", "namespace": "payments", "name": "db", "reason": reason,
            "state": router["state"], "node": "worker-1", "pod": "db-abc", "seconds": 31,
        }
    ]  # fmt: skip
    assert tracker.seen(1000, [router]) == []
    assert tracker.seen(1001, [GOOD]) == tracker.seen(1030, [GOOD]) == []
    (end,) = tracker.seen(1031, [GOOD])
    assert (end["kind"], end["problem"], end["reason"], end["state"]) == ("recovered", event, "", "serving")
    assert tracker.seen(2000, [GOOD]) == []


@pytest.mark.parametrize(
    ("router", "around", "event", "reason"),
    [
        (GOOD, {"not_ready": {"worker-1"}}, "node_not_ready", "node worker-1 of pod db-abc is not ready"),
        # One cause, one event.
        (SILENT, {"not_ready": {"worker-1"}}, "node_not_ready", "node worker-1 of pod db-abc is not ready"),
        (GOOD, {"changed": {("payments", "db"): EDITED}}, "rules_changed", EDITED),
        (REFUSED, {"changed": {("payments", "db"): EDITED}}, "rules_refused", "line 3: no port"),
    ],
    ids=["node", "node of a silent pod", "edited", "edited and refused"],
)
def test_what_is_around_a_router_and_its_end(router: Router, around: Router, event: str, reason: str) -> None:
    tracker = Tracker(PATIENCE)
    assert tracker.seen(0, [router], **around) == tracker.seen(29, [router], **around) == []
    (told_once,) = tracker.seen(30, [router], **around)
    assert (told_once["kind"], told_once["router"], told_once["reason"]) == (event, "payments/db", reason)
    assert tracker.seen(1000, [router], **around) == tracker.seen(1001, [GOOD]) == []
    (end,) = tracker.seen(1031, [GOOD])
    assert (end["kind"], end["problem"]) == ("recovered", event)


@pytest.mark.parametrize(
    ("router", "around"),
    [
        (GOOD, {"not_ready": {"worker-2"}}),
        ({**FAILED, "state": "on-hold"}, {"not_ready": {"worker-1"}}),
        # Nobody serves, and no pod has reported a node yet.
        ({**GOOD, "node": "", "pod": ""}, {"not_ready": {"worker-1"}}),
        (GOOD, {"changed": {("payments", "other"): EDITED, ("other", "db"): EDITED}}),
    ],
    ids=["another node", "on hold for a cut-over", "no node", "another router"],
)
def test_what_is_around_others_is_no_problem(router: Router, around: Router) -> None:
    tracker = Tracker(PATIENCE)
    assert tracker.seen(0, [router], **around) == tracker.seen(1000, [router], **around) == []


def test_a_node_that_comes_back_within_the_patience_is_no_event() -> None:
    tracker, lost = Tracker(PATIENCE), {"worker-1"}
    assert tracker.seen(0, [GOOD], lost) == tracker.seen(29, [GOOD], lost) == tracker.seen(30, [GOOD]) == []
    assert tracker.seen(31, [GOOD], lost) == tracker.seen(60, [GOOD], lost) == []


def test_a_pod_that_takes_over_from_a_lost_node_ends_it() -> None:
    tracker, lost = Tracker(PATIENCE), {"worker-1"}
    assert [event["kind"] for now in (0, 30) for event in tracker.seen(now, [GOOD], lost)] == ["node_not_ready"]
    elsewhere = {**GOOD, "node": "worker-2", "pod": "db-xyz"}
    assert tracker.seen(31, [elsewhere], lost) == []
    (end,) = tracker.seen(61, [elsewhere], lost)
    assert (end["kind"], end["problem"], end["node"]) == ("recovered", "node_not_ready", "worker-2")


def test_after_a_restart_what_is_still_wrong_is_told_once_more() -> None:
    assert told((0, FAILED), (30, FAILED)) == [(30, "not_serving")]
    # Another tracker, which has seen nothing.
    assert told((40, FAILED), (69, FAILED), (70, FAILED), (500, FAILED)) == [(70, "not_serving")]


@pytest.mark.parametrize(
    "router",
    [GOOD, {**FAILED, "state": "on-hold"}, {**GOOD, "failover": {}}],
    ids=["serving", "on hold for a cut-over", "without an agent"],
)
def test_what_is_no_problem(router: dict[str, Any]) -> None:
    assert told((0, router), (100, router)) == []


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([(0, FAILED), (29, FAILED), (30, GOOD), (31, FAILED), (60, FAILED), (62, GOOD), (100, GOOD)], []),
        # Told, it comes back again and again, and is the same.
        ([(0, FAILED), (30, FAILED), (35, GOOD), (40, FAILED), (80, FAILED), (90, GOOD), (110, FAILED), (120, GOOD), (150, GOOD)],
         [(30, "not_serving"), (150, "recovered")]),
        # Another problem of the same service.
        ([(0, FAILED), (20, SILENT), (30, SILENT), (40, FAILED)], [(30, "silent")]),
        ([(0, FAILED), (30, FAILED), (70, GOOD), (100, GOOD), (110, FAILED), (140, FAILED)],
         [(30, "not_serving"), (100, "recovered"), (140, "not_serving")]),
        # Somebody removes it.
        ([(0, FAILED), (30, FAILED), (31, []), (100, []), (101, GOOD), (200, GOOD)], [(30, "not_serving")]),
        ([(0, FAILED), (30, []), (31, FAILED), (40, FAILED)], []),
        # Two at once.
        ([(0, REFUSED), (10, {**FAILED, "rules_error": "x"}), (40, {**FAILED, "rules_error": "x"})],
         [(40, "not_serving"), (40, "rules_refused")]),
    ],
    ids=["mends itself", "flaps", "changes", "twice", "removed", "removed early", "two"],
)  # fmt: skip
def test_once(seen: list[tuple[float, Any]], expected: list[tuple[float, str]]) -> None:
    assert told(*seen) == expected


def test_while_the_api_server_is_away_what_is_known_stays() -> None:
    away = "cannot reach the API server"
    assert told((0, FAILED), (30, FAILED), (31, away), (60, away), (61, away), (300, away), (301, FAILED), (331, FAILED)) == [
        (30, "not_serving"), (61, "unreachable"), (331, "recovered"),
    ]  # fmt: skip
    # For a moment only.
    assert told((0, GOOD), (1, away), (30, away), (31, GOOD), (100, GOOD)) == []
    # What began before is told after it.
    assert told((0, FAILED), (5, away), (600, FAILED)) == [(600, "not_serving")]


def test_a_flood_of_changes_loses_nothing_and_tells_nothing_twice() -> None:
    tracker = Tracker(PATIENCE)
    names = [f"r{number}" for number in range(1000)]

    def of(router: dict[str, Any]) -> list[dict[str, Any]]:
        return [{**router, "name": name} for name in names]

    assert tracker.seen(0, of(GOOD)) == tracker.seen(1, of(FAILED)) == []
    for now in range(2, 31):
        assert tracker.seen(now, of({**FAILED, "reason": f"change {now}"})) == []
    assert [event["name"] for event in tracker.seen(31, of(FAILED))] == names
    assert tracker.seen(32, of(FAILED)) == tracker.seen(33, of(GOOD)) == []
    assert [event["name"] for event in tracker.seen(63, of(GOOD))] == names


def test_a_flood_of_routers_that_come_and_go_tells_each_problem_once() -> None:
    """A thousand routers, of which every third fails for good at another time, while the others fail for a moment."""
    tracker = Tracker(PATIENCE)
    events = []
    for now in range(1, 1100):
        lasting = [{**(FAILED if now > number else GOOD), "name": f"r{number}"} for number in range(0, 1000, 3)]
        passing = [
            {**(FAILED if (now + number) % 29 else GOOD), "name": f"r{number}"} for number in range(1000) if number % 3
        ]
        events += [(now, event["kind"], event["name"]) for event in tracker.seen(now, lasting + passing)]
    assert events == [(number + 31, "not_serving", f"r{number}") for number in range(0, 1000, 3)]


def test_without_patience_all_is_told_at_once() -> None:
    assert told((0, FAILED), (1, GOOD), (2, FAILED), patience=0) == [
        (0, "not_serving"), (1, "recovered"), (2, "not_serving"),
    ]  # fmt: skip
