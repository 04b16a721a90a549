# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is probed, and that every wrong answer makes the report fail."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._router.router import Router
from ansible_collections.egress.router.plugins.module_utils._router.routers import load
from ansible_collections.egress.router.plugins.module_utils._verify.checks import Scope, targets
from ansible_collections.egress.router.plugins.module_utils._verify.report import report as report_on

MAC = "02:e6:c6:33:64:32"
DB, WEB, DNS = (
    "tcp://billing-db.payments.svc:5432",
    "http://billing-db.payments.svc:8080",
    "udp://billing-db.payments.svc:53",
)
FREE, DIRECT = "tcp://10.244.1.17:61000", "tcp://203.0.113.10:5432"
SCOPE = Scope(http_ports=(80,))


def router(**changes: Any) -> Router:
    spec = {
        "name": "billing-db",
        "namespace": "payments",
        "image": "img:1",
        "addresses": [{"ip": "198.51.100.50/24", "gateway": "198.51.100.1"}],
        "redirect_rules": [
            {"port": 5432, "destination_ip": "203.0.113.10"},
            {"port": 8080, "destination_ip": "203.0.113.11", "target_port": 80},
            {"port": 53, "protocol": "UDP", "destination_ip": "203.0.113.12"},
        ],
        **changes,
    }
    routers, problems = load([spec])
    assert problems == []
    return routers[0]


def state(of: Router, **changes: Any) -> dict[str, Any]:
    return {
        "name": "billing-db", "namespace": "payments", "serving": True, "reason": "", "node": "worker-1", "mac": MAC,
        "pod_ips": ["10.244.1.17"], "addresses": ["198.51.100.50/24"], "rules_hash": of.rules.hash(), **changes,
    }  # fmt: skip


def answer(target: str, to: str = "", source: str = "198.51.100.50", mac: str | None = MAC, **changes: Any) -> Any:
    ip, _colon, port = to.rpartition(":")
    seen = [{"source_ip": source, "source_mac": mac, "local_ip": ip, "local_port": int(port), "count": 1}] if to else []
    counts = {"attempts": 1, "connected": 1, "refused": 0, "timed_out": 0, "failed": 0, "errors": [], "observed": seen}
    return {"target": target, **counts, **changes}


def good() -> dict[str, Any]:
    answers = [
        answer(DB, "203.0.113.10:5432"),
        answer(WEB, "203.0.113.11:80"),
        answer(DNS, "203.0.113.12:53"),
        answer(FREE, connected=0, refused=1),
        answer(DIRECT, "203.0.113.10:5432", source="198.51.100.11", mac="02:42:00:00:00:11"),
    ]
    return {item["target"]: item for item in answers}


def report(answers: dict[str, Any], of: Router | None = None, scope: Scope = SCOPE, **changes: Any) -> dict[str, Any]:
    of = of or router()
    return report_on([of], [state(of, **changes)], answers.values(), scope)


def test_what_is_probed_is_what_is_judged() -> None:
    of = router()
    assert targets([of], [state(of)], SCOPE) == [DNS, DB, WEB, FREE, DIRECT]
    found = report(good())
    assert found["ok"] and found["problems"] == []
    assert found["summary"] == "1 router: 6 passed, 0 failed"
    assert [check["check"] for check in found["routers"][0]["checks"]] == [
        "serving", "rule", "rule", "rule", "refused", "direct",
    ]  # fmt: skip


def test_a_table_for_people() -> None:
    lines = report(good())["table"]
    assert lines[0] == f"router payments/billing-db: node worker-1, IP 198.51.100.50, MAC {MAC}"
    assert "198.51.100.50 02:e6:c6:33:64:32 at 203.0.113.10:5432" in lines[4]
    assert lines[4].endswith("ok")


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("another source", answer(DB, "203.0.113.10:5432", source="198.51.100.11"),
     f"rule {DB}: source ip 198.51.100.11 instead of 198.51.100.50"),
    ("another MAC", answer(DB, "203.0.113.10:5432", mac="02:42:00:00:00:11"),
     f"rule {DB}: source mac 02:42:00:00:00:11 instead of {MAC}"),
    ("another server", answer(WEB, "203.0.113.99:80"),
     f"rule {WEB}: destination 203.0.113.99:80 instead of 203.0.113.11:80"),
    ("another port", answer(WEB, "203.0.113.11:8080"),
     f"rule {WEB}: destination 203.0.113.11:8080 instead of 203.0.113.11:80"),
    ("nobody answers", answer(DNS, connected=0, timed_out=1), f"rule {DNS}: 0 of 1 attempts got an answer: timed out"),
    ("some do not answer", answer(DB, "203.0.113.10:5432", attempts=3, connected=2, refused=1),
     f"rule {DB}: 2 of 3 attempts got an answer: 2 x connected, refused"),
    ("no such name", answer(DB, connected=0, failed=1, errors=["name does not resolve"]),
     f"rule {DB}: 0 of 1 attempts got an answer: failed, name does not resolve"),
    ("nothing observed", answer(DB), f"rule {DB}: connected, but the source was not observed"),
    ("a port without rule answers", answer(FREE), f"refused {FREE}: a port without rule and fallback must be refused"),
    ("a port without rule is silent", answer(FREE, connected=0, timed_out=1), f"refused {FREE}: a port without rule"),
    ("the client has the address itself", answer(DIRECT, "203.0.113.10:5432"),
     f"direct {DIRECT}: the client has the router's source address without the router"),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "said"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_every_wrong_answer_fails(wrong: dict[str, Any], said: str) -> None:
    found = report({**good(), wrong["target"]: wrong})
    assert not found["ok"] and not found["routers"][0]["ok"]
    assert len(found["problems"]) == 1
    assert found["problems"][0].startswith(f"router payments/billing-db, {said}")
    assert any("FAILED" in line for line in found["table"])


def test_one_wrong_source_among_many_fails() -> None:
    seen = [
        *answer(DB, "203.0.113.10:5432")["observed"],
        *answer(DB, "203.0.113.10:5432", source="10.0.0.1")["observed"],
    ]
    found = report({**good(), DB: answer(DB, attempts=2, connected=2, observed=seen)})
    assert "source ip 10.0.0.1 instead of 198.51.100.50" in found["problems"][0]


def test_a_target_without_result_fails() -> None:
    answers = good()
    del answers[WEB]
    assert "not probed: the client's results do not include this target" in report(answers)["problems"][0]


@pytest.mark.parametrize(("changes", "said"), [
    ({"serving": False, "reason": "its Deployment is being rolled out"}, "does not serve: its Deployment is being"),
    ({"mac": "02:00:00:00:00:01"}, "the router serves with another address"),
    ({"addresses": ["198.51.100.51/24"]}, "the router serves with another address"),
    ({"rules_hash": "x"}, "the router's live rules are not those of the list"),
])  # fmt: skip
def test_the_routers_own_state(changes: dict[str, Any], said: str) -> None:
    found = report(good(), **changes)
    assert not found["ok"] and said in found["problems"][0]


def test_a_router_of_which_nothing_is_known() -> None:
    found = report_on([router()], [], [], SCOPE)
    assert not found["ok"] and "nothing is known about it" in found["problems"][0]
    assert targets([router()], [], SCOPE) == [DNS, DB, WEB, DIRECT]


def test_a_server_that_cannot_see_the_mac() -> None:
    assert report({**good(), DB: answer(DB, "203.0.113.10:5432", mac=None)})["ok"]


def test_a_client_that_does_not_get_out_alone() -> None:
    found = report({**good(), DIRECT: answer(DIRECT, connected=0, timed_out=1)})
    assert found["ok"] and found["routers"][0]["checks"][-1]["observed"] == {"source_ip": "none: timed out"}


def test_destinations_that_do_not_report_what_they_see() -> None:
    of = router()
    scope = Scope(observers=False)
    answers = {target: answer(target) for target in targets([of], [state(of)], scope)}
    answers[FREE] = answer(FREE, connected=0, refused=1)
    found = report(answers, scope=scope)
    assert found["ok"] and found["summary"] == "1 router: 2 passed, 0 failed, 4 not proven"
    assert found["routers"][0]["checks"][1]["detail"] == "connected, but the source was not observed"


def test_fallback() -> None:
    of = router(fallback_ip="203.0.113.99", service={"extra_ports": [{"port": 8443}]})
    scope = Scope(fallback_ports=(9999, 5432))
    through, pod = "tcp://billing-db.payments.svc:8443", "tcp://10.244.1.17:9999"
    probed = targets([of], [state(of)], scope)
    # No port is refused now, and a port with a rule says nothing of the fallback.
    assert probed[3:] == [through, pod, DIRECT]
    answers = {**good(), through: answer(through, "203.0.113.99:8443"), pod: answer(pod, "203.0.113.99:9999")}
    answers["tcp://billing-db.payments.svc:8080"] = answer("tcp://billing-db.payments.svc:8080", "203.0.113.11:80")
    assert report(answers, of, scope)["ok"]
    answers[pod] = answer(pod, "203.0.113.10:9999")
    assert not report(answers, of, scope)["ok"]
    # Nothing is claimed of a fallback whose ports nobody names.
    unknown = report(good(), router(fallback_ip="203.0.113.99"), SCOPE)
    checks = {check["check"]: check for check in unknown["routers"][0]["checks"]}
    assert checks["fallback"]["ok"] is None and "no port is known" in checks["fallback"]["detail"]


def test_sctp_is_not_probed_and_says_so() -> None:
    of = router(redirect_rules=[{"port": 9000, "protocol": "SCTP", "destination_ip": "203.0.113.10"}])
    assert targets([of], [state(of)], SCOPE) == [FREE]
    found = report(good(), of)
    assert found["routers"][0]["checks"][1]["detail"].startswith("port 9000/SCTP is not probed")
    assert found["ok"]


def test_ipv6() -> None:
    of = router(
        addresses=[{"ip": "2001:db8::50/64", "gateway": "2001:db8::1"}],
        redirect_rules=[{"port": 5432, "destination_ip": "2001:db8:1::10"}],
    )
    ipv6 = {"pod_ips": ["fd00::17"], "addresses": ["2001:db8::50/64"], "mac": of.mac}
    assert targets([of], [state(of, **ipv6)], SCOPE) == [
        DB, "tcp://[fd00::17]:61000", "tcp://[2001:db8:1::10]:5432",
    ]  # fmt: skip
    seen = answer(DB, source="2001:db8::50", mac=of.mac)
    observed = {"source_ip": "2001:db8::50", "source_mac": of.mac, "local_ip": "2001:db8:1::10", "local_port": 5432}
    seen["observed"] = [observed]
    free = answer("tcp://[fd00::17]:61000", connected=0, refused=1)
    direct = answer("tcp://[2001:db8:1::10]:5432", connected=0, timed_out=1)
    found = report({item["target"]: item for item in (seen, free, direct)}, of, **ipv6)
    assert found["ok"], found["problems"]


def dual(**changes: Any) -> Router:
    addresses = [
        {"ip": "198.51.100.50/24", "gateway": "198.51.100.1"},
        {"ip": "2001:db8::50/64", "gateway": "2001:db8::1"},
    ]
    rules = [
        {"port": 5432, "destination_ip": "203.0.113.10"},
        {"port": 5432, "destination_ip": "2001:db8:1::10"},
        {"port": 8080, "destination_ip": "2001:db8:1::11", "target_port": 80},
    ]
    return router(**{"addresses": addresses, "redirect_rules": rules, **changes})


DUAL = {"pod_ips": ["10.244.1.17", "fd00::17"], "addresses": ["198.51.100.50/24", "2001:db8::50/64"]}


def test_a_router_with_both_families_is_proved_in_each() -> None:
    of = dual()
    host = "billing-db.payments.svc"
    probed = {
        f"tcp4://{host}:5432": ("198.51.100.50", "203.0.113.10", 5432),
        f"tcp6://{host}:5432": ("2001:db8::50", "2001:db8:1::10", 5432),
        f"http6://{host}:8080": ("2001:db8::50", "2001:db8:1::11", 80),
        FREE: (),
        "tcp://[fd00::17]:61000": (),
        DIRECT: (),
        "tcp://[2001:db8:1::10]:5432": (),
    }
    assert targets([of], [state(of, **DUAL)], SCOPE) == list(probed)
    answers = {target: answer(target, connected=0, refused=1) for target in probed}
    for target, seen in probed.items():
        if seen:
            observed = dict(zip(("source_ip", "local_ip", "local_port"), seen, strict=True), source_mac=of.mac)
            answers[target] = {**answer(target), "observed": [observed]}
    assert report(answers, of, **DUAL)["ok"]
    # In one family a port that nothing leads to is open, or the client has the router's address.
    for target, wrong in (
        ("tcp://[fd00::17]:61000", {"connected": 1, "refused": 0}),
        ("tcp://[2001:db8:1::10]:5432", {"connected": 1, "observed": [{"source_ip": "2001:db8::50"}]}),
        (f"tcp6://{host}:5432", {"observed": answers[f"tcp4://{host}:5432"]["observed"]}),
    ):
        found = report({**answers, target: {**answers[target], **wrong}}, of, **DUAL)
        assert not found["ok"] and len(found["problems"]) == 1 and target in found["problems"][0]


def test_the_other_family_of_a_fallback_is_refused() -> None:
    of = dual(fallback_ip="2001:db8:1::99", redirect_rules=[])
    scope = Scope(fallback_ports=(9999,))
    assert targets([of], [state(of, **DUAL)], scope) == ["tcp://[fd00::17]:9999", FREE]
    lacking = report({}, of, scope, **{**DUAL, "pod_ips": ["fd00::17"]})["routers"][0]["checks"][-1]
    assert (lacking["ok"], lacking["detail"]) == (None, "not probed: the IPv4 address of the router's pod is unknown")


def silent(**direct: Any) -> dict[str, Any]:
    """Nothing comes back through the router."""
    found = {target: answer(target, connected=0, timed_out=1) for target in (DB, WEB, DNS)}
    return {**good(), **found, DIRECT: {**good()[DIRECT], **direct}}


def test_silence_is_explained() -> None:
    found = report(silent())
    assert not found["ok"]
    assert len(found["hints"]) == 1
    assert found["hints"][0].startswith("router payments/billing-db: nothing came back through it")
    assert "port security" in found["hints"][0] and "egress.router.openstack_allowed_address_pair" in found["hints"][0]


def test_silence_is_explained_when_the_router_has_noticed_it() -> None:
    assert len(report(silent(), serving=False, state="failed")["hints"]) == 1


@pytest.mark.parametrize(
    ("answers", "changes"),
    [
        (good(), {}),
        ({**silent(), DB: good()[DB]}, {}),
        ({**silent(), DB: answer(DB, connected=0, refused=1)}, {}),
        (silent(connected=0, timed_out=1, observed=[]), {}),
        (silent(), {"serving": False, "addresses": []}),
        ({}, {}),
    ],
    ids=["all well", "one answers", "one refuses", "nothing past it either", "it does not serve", "not probed"],
)
def test_what_is_no_silence(answers: dict[str, Any], changes: dict[str, Any]) -> None:
    assert report(answers, **changes)["hints"] == []


RANDOM = "3a:00:00:00:00:01"


def test_a_router_whose_mac_is_random_is_seen_with_that_of_its_pod() -> None:
    of = router(backend="egress_router_cr", image=None)
    assert of.mac == ""
    seen = {
        target: {**one, "observed": [{**item, "source_mac": RANDOM} for item in one["observed"]]}
        for target, one in good().items()
    }
    found = report(seen, of, mac=RANDOM)
    assert found["ok"] and found["problems"] == [] and found["routers"][0]["mac"] == RANDOM
    assert targets([of], [state(of)], SCOPE) == [DNS, DB, WEB, FREE, DIRECT]
    # Another pod, or somebody else, has the address.
    wrong = report({**seen, DB: answer(DB, "203.0.113.10:5432", mac=MAC)}, of, mac=RANDOM)
    assert f"rule {DB}: source mac {MAC} instead of {RANDOM}" in wrong["problems"][0]
    # A rule that was removed and still works.
    assert not report({**seen, FREE: answer(FREE)}, of, mac=RANDOM)["ok"]
    stale = report(seen, of, mac=RANDOM, rules_hash="", rules_error="its pod is older")
    assert "the router's live rules are not those of the list: its pod is older" in stale["problems"][0]


@pytest.mark.parametrize(("backend", "said"), [
    ("agent", "until the role egress.router.openstack_allowed_address_pair has run"),
    ("egress_router_cr", "unless it is off for the nodes' ports, because allowed address pairs cannot name"),
])  # fmt: skip
def test_silence_is_explained_by_what_helps_with_the_backend(backend: str, said: str) -> None:
    of = router(backend=backend, image="img:1" if backend == "agent" else None)
    silent = {target: answer(target, connected=0, timed_out=1) for target in (DB, WEB, DNS)}
    (hint,) = report({**good(), **silent}, of, mac=of.mac or RANDOM)["hints"]
    assert hint.startswith("router payments/billing-db: nothing came back") and said in hint


TWO = [
    {"ip": "198.51.100.50/24", "gateway": "198.51.100.1"},
    {"ip": "198.51.100.51/24", "gateway": "198.51.100.1"},
]
BOTH = ["198.51.100.50/24", "198.51.100.51/24"]


def test_spread_connections_leave_from_any_of_the_addresses() -> None:
    of = router(addresses=TWO, source="spread")
    seen = [
        *answer(DB, "203.0.113.10:5432")["observed"],
        *answer(DB, "203.0.113.10:5432", source="198.51.100.51")["observed"],
    ]
    answers = {**good(), DB: answer(DB, attempts=2, connected=2, observed=seen)}
    found = report(answers, of, addresses=BOTH)
    assert found["ok"], found["problems"]
    assert f"198.51.100.50 or 198.51.100.51 {MAC} at 203.0.113.10:5432" in found["table"][4]
    other = report({**good(), DB: answer(DB, "203.0.113.10:5432", source="198.51.100.52")}, of, addresses=BOTH)
    assert "source ip 198.51.100.52 instead of 198.51.100.50 or 198.51.100.51" in other["problems"][0]


def test_a_rule_with_a_source_leaves_from_there_alone() -> None:
    rules = [{"port": 5432, "destination_ip": "203.0.113.10", "source_ip": "198.51.100.51"}]
    of = router(addresses=TWO, redirect_rules=rules)
    answers = {**good(), DB: answer(DB, "203.0.113.10:5432", source="198.51.100.51")}
    assert report(answers, of, addresses=BOTH)["ok"]
    found = report(good(), of, addresses=BOTH)
    assert "source ip 198.51.100.50 instead of 198.51.100.51" in found["problems"][0]


def test_without_the_router_a_client_has_none_of_its_addresses() -> None:
    of = router(addresses=TWO)
    found = report({**good(), DIRECT: answer(DIRECT, "203.0.113.10:5432", source="198.51.100.51")}, of, addresses=BOTH)
    assert "the client has the router's source address without the router" in found["problems"][0]
    assert any("not 198.51.100.50 nor 198.51.100.51" in line for line in found["table"])


def test_an_address_that_is_missing() -> None:
    found = report(good(), router(addresses=TWO), addresses=BOTH[:1])
    assert "the router serves with another address" in found["problems"][0]
