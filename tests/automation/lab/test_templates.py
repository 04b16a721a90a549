# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the answers of a survey to what servers outside of the cluster see, and a drill: job templates of examples/awx on the lab."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from egress_lab import engine

from ansible_collections.egress.router.tests.automation.controller import (
    Controller,
    Credential,
    Job,
    bad,
    good,
    prepare,
)
from ansible_collections.egress.router.tests.automation.lab.cluster import DEFAULTS, LIST, Lab

IMAGE = "localhost/egress-ee:dev"
ADDRESS = "198.51.100.90"
NODES = ("preflight", "check", "provision", "verify")


@pytest.fixture(scope="module")
def controller(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    """In the end, what its jobs have left is searched for its credential."""
    chosen = engine.choose()
    prepare(chosen)
    inputs = {"host": lab.url, "bearer_token": lab.token, "ssl_ca_cert": lab.certificate}
    credentials = {"Egress cluster": Credential("OpenShift or Kubernetes API Bearer Token", inputs)}
    inventory = {
        "egress_router_defaults": {**DEFAULTS, "namespace": lab.namespace},
        "egress_routers": [],
        "router_list_namespace": LIST,
    }
    made = Controller(tmp_path_factory.mktemp("controller"), chosen, IMAGE, inventory, credentials)
    yield made
    for job in made.jobs:
        assert job.files_with(lab.token) == []


def test_from_a_survey_to_what_the_server_sees(
    lab: Lab, controller: Controller, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = {
        "router_list_survey_name": "ledger",
        "router_list_survey_namespace": lab.namespace,
        "router_list_survey_address": f"{ADDRESS}/24",
        "router_list_survey_gateway": "198.51.100.1",
        "router_list_survey_rules": "5432 TCP 203.0.113.10\r\n8080 TCP 203.0.113.11 80\r\n53 UDP 203.0.113.12\r\n",
    }
    assert lab.listed() == {}
    jobs = {}
    for node, job in controller.workflow("change a router", answers):
        jobs[node] = good(job)
        if node == "check":
            assert lab.listed() == {} and lab.get("deployments")["items"] == [], "check mode has changed nothing"
    assert tuple(jobs) == NODES
    (entry,) = lab.listed().values()
    assert f"ip: {ADDRESS}/24" in entry
    report = jobs["verify"].artifacts["egress_verify"]
    (router,) = report["routers"]
    seen = [check["observed"] for check in router["checks"] if check["check"] == "rule"]
    assert report["ok"] and len(seen) == 3 and {one["source_ip"] for one in seen} == {ADDRESS}, report
    with capsys.disabled():
        show("the answers", answers)
        for node, job in jobs.items():
            print(f"--- {node}\n{shortened(job)}")
        print(f"--- the list afterwards\n{entry}")


def test_a_second_pod_and_a_drill(lab: Lab, controller: Controller) -> None:
    text = f"- name: ledger\r\n  namespace: {lab.namespace}\r\n  replicas: 2\r\n"
    good(controller.launch("add or change routers", {"router_list_routers": text}))
    before = lab.holder("ledger")
    job = good(controller.launch("drill", {"drill_routers": f"[{lab.namespace}/ledger]", "drill_max_seconds": 5.0}))
    report = job.artifacts["egress_drill"]
    (router,) = report["routers"]
    assert report["ok"] and [event["event"] for event in router["events"]] == ["hand_over"], report
    assert lab.holder("ledger") not in ("", before)


def test_verify_fails_when_a_rule_leads_elsewhere(lab: Lab, controller: Controller) -> None:
    """Rules changed by hand. The workflow for rules is how they come back."""
    lab.patch("configmap", "ledger-rules", {"data": {"rules": "5432 TCP 203.0.113.77\n"}})
    job = bad(controller.launch("verify"), "failed")
    assert not job.artifacts["egress_verify"]["ok"] and job.artifacts["egress_verify"]["problems"]
    answers = {
        "router_list_survey_name": "ledger",
        "router_list_survey_namespace": lab.namespace,
        "router_list_survey_rules": "5433 TCP 203.0.113.10 5432",
    }
    ended = [(node, good(job)) for node, job in controller.workflow("change rules", answers)]
    assert [node for node, _job in ended] == ["check", "rules", "verify"]
    assert ended[-1][1].artifacts["egress_verify"]["ok"]


def test_everything_goes(lab: Lab, controller: Controller) -> None:
    good(controller.launch("deprovision"))
    assert [lab.get(kind)["items"] for kind in ("deployments", "pods")] == [[], []]


def show(title: str, content: Any) -> None:
    print(f"\n--- {title}\n{json.dumps(content, indent=2)}")


def shortened(job: Job) -> str:
    """What it shows, without colours, what did nothing, and titles."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", job.stdout)
    left_out = ("ok: [localhost]\n", "skipping:", "included:", "TASK ", "PLAY [")
    kept = [line for line in plain.splitlines(keepends=True) if line.strip() and not line.startswith(left_out)]
    return "".join(kept[:60])
