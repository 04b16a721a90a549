# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every job template of examples/awx, and the surveys, run by ansible-runner in the execution environment against a real API server.

`verify` and `drill` need real pods to succeed: here they are refused. The secrets of the credentials are looked for in conftest.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.egress.router.tests.api_server.api import TOKENS, Servers
from ansible_collections.egress.router.tests.automation.conftest import Make
from ansible_collections.egress.router.tests.automation.controller import (
    PREFIX,
    Files,
    Job,
    Refused,
    answered,
    bad,
    good,
)

BILLING = {
    "name": "billing",
    "addresses": [{"ip": "198.51.100.50/24", "gateway": "198.51.100.1"}],
    "redirect_rules": [{"port": 5432, "destination_ip": "203.0.113.10"}],
}
OLD = {
    "apiVersion": "network.operator.openshift.io/v1",
    "kind": "EgressRouter",
    "metadata": {"name": "old"},
    "spec": {
        "networkInterface": {"macvlan": {"mode": "Bridge"}},
        "addresses": [{"ip": "198.51.100.70/24", "gateway": "198.51.100.1"}],
        "mode": "Redirect",
        "redirect": {"redirectRules": [{"destinationIP": "203.0.113.10", "port": 5432, "protocol": "TCP"}]},
    },
}


def objects(servers: Servers, kind: str, space: str) -> list[str]:
    group = "/api/v1" if kind in ("configmaps", "services") else "/apis/apps/v1"
    items = servers.api("GET", f"{group}/namespaces/{space}/{kind}")["items"]
    return sorted(item["metadata"]["name"] for item in items)


def rules_of(servers: Servers, space: str) -> list[str]:
    text = servers.api("GET", f"/api/v1/namespaces/{space}/configmaps/billing-rules")["data"]["rules"]
    return [line for line in text.splitlines() if not line.startswith("#")]


def holder(servers: Servers, space: str) -> str:
    lease = servers.api("GET", f"/apis/coordination.k8s.io/v1/namespaces/{space}/leases/billing")
    found: str = lease["spec"]["holderIdentity"]
    return found


def test_every_template_and_workflow_is_launched_here() -> None:
    files, here = Files.read(), Path(__file__).read_text()
    workflows = [one for name, one in files.workflows.items() if f'workflow("{name.removeprefix(PREFIX)}"' in here]
    launched = {node["unified_job_template"]["name"] for one in workflows for node in one["workflow_nodes"]}
    launched |= {name for name in files.templates if f'"{name.removeprefix(PREFIX)}"' in here}
    assert set(files.templates) - launched == set()


def test_the_life_of_a_router(make: Make, servers: Servers, space: str) -> None:
    """Windows' ends of lines, tabs and blanks come with what people paste into surveys."""
    # The first job is preflight. Without these, each of the others would look at the cluster and for clouds once more.
    clouds = ["egress_router_openstack_allowed_address_pair", "egress_router_vsphere_port_group_security"]
    controller = make(
        [], space, router_list_namespace=space, egress_router_preflight=False, **dict.fromkeys(clouds, False)
    )
    of_list = f"egress-router.{space}.billing"
    router = {"router_list_survey_name": "billing", "router_list_survey_namespace": space}

    answers = {
        "router_list_survey_address": "198.51.100.50/24",
        "router_list_survey_gateway": " 198.51.100.1 ",
        "router_list_survey_rules": "5432\tTCP  203.0.113.10\r\n\r\n8080 tcp 203.0.113.11 80 name=invoices\r\n",
    }
    jobs = controller.workflow("change a router", {**router, **answers})
    node, job = next(jobs)
    assert (node, good(job).artifacts["egress_preflight"]["ok"]) == ("preflight", True)
    node, job = next(jobs)
    assert node == "check" and good(job).changed and f"ConfigMap {space}/{of_list}" in job.text
    assert of_list not in objects(servers, "configmaps", space) and objects(servers, "deployments", space) == []
    node, job = next(jobs)
    assert node == "provision" and good(job).changed and "+++ after: Deployment" in job.stdout
    assert of_list in objects(servers, "configmaps", space) and objects(servers, "deployments", space) == ["billing"]
    assert rules_of(servers, space) == ["5432 TCP 203.0.113.10", "8080 TCP 203.0.113.11 80 name=invoices"]

    jobs = controller.workflow("change rules", {**router, "router_list_survey_rules": "5433 TCP 203.0.113.10"})
    node, job = next(jobs)
    assert node == "check" and good(job).changed and "+5433 TCP 203.0.113.10" in job.stdout
    assert len(rules_of(servers, space)) == 2
    node, job = next(jobs)
    assert node == "rules" and good(job).changed and rules_of(servers, space) == ["5433 TCP 203.0.113.10"]

    text = "- name: ledger\r\n  addresses: [{ip: 198.51.100.51/24}]\r\n- {name: billing, replicas: 2}\r\n"
    good(controller.launch("add or change routers", {"router_list_routers": text}))
    assert objects(servers, "deployments", space) == ["billing", "ledger"]
    assert rules_of(servers, space) == ["5433 TCP 203.0.113.10"], "what is not said of a router stays"

    before = holder(servers, space)
    good(controller.launch("hand over", {"drill_routers": f"[{space}/billing]"}))
    assert holder(servers, space) != before

    servers.api("DELETE", f"/api/v1/namespaces/{space}/services/ledger")
    job = bad(controller.launch("drift"), "These are not what the list says: ")
    assert f"Service {space}/ledger" in [one["object"] for one in job.artifacts["egress_drift"]]
    assert objects(servers, "services", space) == ["billing"], "nothing was mended"

    controller.inventory = {name: value for name, value in controller.inventory.items() if name not in clouds}
    job = good(controller.launch("deprovision"))
    assert "no node of the cluster is an OpenStack server" in job.text
    assert (objects(servers, "deployments", space), objects(servers, "services", space)) == ([], [])


WRONG: dict[str, tuple[dict[str, str], list[str]]] = {
    "expressions and quotes": (
        {
            "router_list_survey_name": "{{ lookup('pipe', 'touch executed') }}",
            "router_list_survey_address": "\"198.51.100.50'/24",
        },
        ["{{ lookup('pipe', 'touch executed') }}", "\"198.51.100.50'/24"],
    ),
    "10,000 lines": (
        {"router_list_survey_rules": "".join(f"{port} TCP 203.0.113.10\r\n" for port in range(1, 10001))},
        ["10000"],
    ),
}


@pytest.mark.parametrize(("wrong", "said"), WRONG.values(), ids=WRONG)
def test_wrong_answers(make: Make, servers: Servers, space: str, wrong: dict[str, str], said: list[str]) -> None:
    controller = make([], space, router_list_namespace=space)
    answers = {"router_list_survey_name": "ledger", "router_list_survey_namespace": space,
               "router_list_survey_address": "198.51.100.52/24", **wrong}  # fmt: skip
    ((node, job),) = controller.workflow("change a router", answers)
    assert (node, job.status) == ("preflight", "failed"), "the workflow ends there"
    assert [text for text in said if text not in job.failure] == [] and len(job.stdout) < 20_000
    assert not (job.folder / "project/executed").exists()
    assert [name for name in objects(servers, "configmaps", space) if name.startswith("egress-router.")] == []


def test_migrate(make: Make, servers: Servers, space: str) -> None:
    servers.api("POST", f"/apis/network.operator.openshift.io/v1/namespaces/{space}/egressrouters", OLD)
    job = good(make([], space).launch("migrate", {"migrate_namespaces": f"[{space}]"}))
    (router,) = job.artifacts["egress_migrate"]["routers"]
    assert (router["name"], router["addresses"][0]["ip"]) == ("old", "198.51.100.70/24")
    assert (job.folder / "project/egress_routers.yml").exists()


@pytest.mark.parametrize(
    ("template", "answers"), [("verify", {}), ("drill", {"drill_routers": "[]", "drill_max_seconds": 0.5})]
)
def test_a_credential_without_permissions(make: Make, space: str, template: str, answers: dict[str, Any]) -> None:
    controller = make([BILLING], space, TOKENS["jane"])
    bad(controller.launch(template, answers), f"jane may not list leases in namespace {space}: grant it with a Role")


def test_a_token_that_has_expired_and_much_output(make: Make, space: str) -> None:
    """The most verbose output is where secrets show."""
    controller = make([BILLING], space, "Xi0-expired")
    bad(controller.launch("preflight", verbosity=4), "renew the token")


SURVEY = Files.read().templates["Egress routers: drill"]["survey_spec"]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"drill_routers": ""}, "missing"),
        ({"drill_routers": "x" * 1025}, "1025"),
        ({"drill_max_seconds": 61.0}, "61"),
        ({"drill_image": "img:1"}, "not asked"),
    ],
)
def test_the_stand_in_refuses_what_a_controller_refuses(answers: dict[str, Any], reason: str) -> None:
    assert answered(SURVEY, {}) == {"drill_routers": "[payments/billing-db]", "drill_max_seconds": 1.0}
    with pytest.raises(Refused, match=reason):
        answered(SURVEY, answers)


def test_a_leak_is_found(tmp_path: Path) -> None:
    artifacts = tmp_path / "artifacts/1"
    for name in (
        "env/envvars",
        "artifacts/1/command",
        "artifacts/1/env.list",
        "artifacts/1/stdout",
        "artifacts/1/job_events/1-a.json",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("token=Xi0")
    job = Job("successful", 0, "", {}, 0, tmp_path)
    assert job.files_with("Xi0") == ["artifacts/1/job_events/1-a.json", "artifacts/1/stdout"]
    (artifacts / "stdout").write_text("")
    assert job.files_with("Xi0") == ["artifacts/1/job_events/1-a.json"]
