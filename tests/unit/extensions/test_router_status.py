# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The event source router_status, run as ansible-rulebook runs it, against the fake API server."""

from __future__ import annotations

import asyncio
import copy
import importlib.util
import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.egress.router.plugins.module_utils._kubernetes import cluster as _cluster
from ansible_collections.egress.router.tests.support.fake_api_server import FakeAgent, FakeCluster, add_router, serving
from ansible_collections.egress.router.tests.support.server_side_apply import updated

# Where Ansible has the collection, not where the checkout is.
COLLECTION = Path(importlib.import_module("ansible_collections.egress.router.plugins").__path__[0]).parent
SOURCE = COLLECTION / "extensions/eda/plugins/event_source/router_status.py"
FILTER = COLLECTION / "extensions/eda/plugins/event_filter/plain_text.py"
RULEBOOKS = COLLECTION / "extensions/eda/rulebooks"
Args = dict[str, Any]


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def agent(cluster: FakeCluster) -> FakeAgent:
    return add_router(cluster, "payments", "db", "5432 TCP 203.0.113.10\n")


@pytest.fixture
def args(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Args]:
    # kubernetes.core keeps what it discovered in the temporary folder.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(_cluster, "PAUSES", (0.0,))
    with serving(cluster) as url:
        yield {"host": url, "api_key": "token", "patience": 30, "namespaces": ["payments"]}


@pytest.fixture
def source() -> Args:
    return run_file(SOURCE)


def run_file(path: Path) -> Args:
    # runpy, which ansible-rulebook calls, does not get along with Ansible's own import of collections, which tests have.
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return vars(module)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_router_fails_and_is_well_again(source: Args, args: Args, agent: FakeAgent) -> None:
    clock = Clock()
    looking = source["Source"](args, clock)
    assert looking.look() == []
    agent.report(state="failed", error="no carrier")
    assert looking.look() == []
    clock.now = 30
    (event,) = looking.look()
    assert (event["kind"], event["router"], event["node"]) == ("not_serving", "payments/db", "worker-1")
    assert event["reason"] == "pod db-abc on node worker-1: no carrier"
    agent.report()
    assert looking.look() == []
    clock.now = 60
    assert [one["kind"] for one in looking.look()] == ["recovered"]


def test_rules_that_are_refused(source: Args, args: Args, agent: FakeAgent) -> None:
    looking = source["Source"]({**args, "patience": 0})
    agent.report(rules_error="line 1: no port")
    assert [(one["kind"], one["reason"]) for one in looking.look()] == [("rules_refused", "line 1: no port")]


@pytest.mark.parametrize(
    ("renewed", "container", "expected"),
    [
        ("2026-11-01T00:00:00Z", {"running": {}}, ["silent"]),
        ("", {"running": {}}, []),
        # It is known why it says nothing.
        ("2026-11-01T00:00:00Z", {"waiting": {"reason": "CrashLoopBackOff"}}, ["not_serving"]),
        ("", {"waiting": {"reason": "CrashLoopBackOff"}}, ["not_serving"]),
    ],
    ids=["Lease over", "renewed", "Lease over and crashed", "crashed"],
)
@pytest.mark.usefixtures("agent")
def test_a_pod_that_says_nothing_any_more(
    source: Args, args: Args, cluster: FakeCluster, renewed: str, container: Args, expected: list[str]
) -> None:
    lease, pod = (cluster.objects[(kind, "payments", name)] for kind, name in (("leases", "db"), ("pods", "db-abc")))
    lease["spec"]["renewTime"] = renewed or lease["spec"]["renewTime"]
    pod["status"]["containerStatuses"] = [{"name": "router", "state": container}]
    assert [one["kind"] for one in source["Source"]({**args, "patience": 0}).look()] == expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("NotReady", ["node_not_ready"]),
        ("NotReady,SchedulingDisabled", ["node_not_ready"]),
        ("Ready", []),
        ("Ready,SchedulingDisabled", []),
        ("Unknown", []),
    ],
)
@pytest.mark.usefixtures("agent")
def test_the_node_of_a_router(source: Args, args: Args, cluster: FakeCluster, status: str, expected: list[str]) -> None:
    cluster.add("nodes", "", "worker-1", spec={}, printed_status=status)
    looking = source["Source"]({**args, "patience": 0})
    assert [one["kind"] for one in looking.look()] == expected


Managers = tuple[str, ...]


def write_rules(cluster: FakeCluster, text: str, managers: Managers) -> None:
    """Each manager in its turn, the first one adds nothing but a label, the last one writes `text`."""
    key = ("configmaps", "payments", "db-rules")
    for number, manager in enumerate(managers):
        item = copy.deepcopy(cluster.objects[key])
        if number:
            item["data"] = {"rules": f"{text}# {number}\n" if number < len(managers) - 1 else text}
        else:
            item["metadata"]["labels"]["of-the-first"] = "yes"
        cluster.objects[key] = updated(cluster.objects[key], item, manager)


@pytest.mark.parametrize(
    ("managers", "author"),
    [
        (("egress.router.deploy", "egress.router.redirect-rules"), ""),
        (("egress.router.deploy", "egress.router.redirect-rules", "kubectl-edit"), "kubectl-edit"),
        (("egress.router.redirect-rules", "kubectl-edit"), "kubectl-edit"),
        # Written again by the collection.
        (("egress.router.deploy", "kubectl-edit", "egress.router.redirect-rules"), ""),
        # Somebody else applies all of it.
        (("argocd-controller", "argocd-controller"), ""),
        (("argocd-controller", "kubectl-edit"), ""),
        # Nobody has written rules, or nobody knows.
        (("egress.router.deploy",), ""),
        ((), ""),
    ],
)
@pytest.mark.usefixtures("agent")
def test_rules_that_somebody_has_edited(
    source: Args, args: Args, cluster: FakeCluster, managers: Managers, author: str
) -> None:
    write_rules(cluster, "5433 TCP 203.0.113.11\n", managers)
    looking = source["Source"]({**args, "patience": 0})
    expected = [("rules_changed", f"{author} changed the rules in ConfigMap payments/db-rules")] if author else []
    assert [(one["kind"], one["reason"]) for one in looking.look()] == expected


def test_the_time_of_an_edit_and_rules_as_bytes(source: Args, args: Args, agent: FakeAgent) -> None:
    metadata = agent.cluster.objects[("configmaps", "payments", "db-rules")]["metadata"]
    metadata["managedFields"] = [
        {"manager": "egress.router.deploy", "time": "2026-11-27T10:00:00Z", "fieldsV1": {"f:metadata": {}}},
        {"manager": "early", "time": "2026-11-27T11:00:00Z", "fieldsV1": {"f:data": {"f:rules": {}}}},
        {"manager": "late", "time": "2026-11-27T12:00:00Z", "fieldsV1": {"f:binaryData": {".": {}, "f:rules": {}}}},
        {"manager": "others", "time": "2026-11-27T13:00:00Z", "fieldsV1": {"f:data": {"f:notes": {}}}},
    ]
    (event,) = source["Source"]({**args, "patience": 0}).look()
    assert event["reason"] == "late changed the rules in ConfigMap payments/db-rules at 2026-11-27T12:00:00Z"


def test_what_may_not_be_read_is_said_once_and_the_rest_goes_on(
    source: Args, args: Args, agent: FakeAgent, cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.add("nodes", "", "worker-1", spec={}, printed_status="NotReady")
    cluster.fault = lambda _method, path: (403, "no") if path.endswith(("/nodes", "/configmaps")) else None
    agent.report(rules_error="line 1: no port")
    looking = source["Source"]({**args, "patience": 0})
    assert [one["kind"] for one in looking.look() + looking.look()] == ["rules_refused"]
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [text.split(": ")[1] for text in warned] == [
        "there are no events node_not_ready", "there are no events rules_changed",
    ]  # fmt: skip
    # Somebody permits it meanwhile.
    cluster.fault = lambda _method, _path: None
    assert [one["kind"] for one in looking.look()] == ["node_not_ready"]


@pytest.mark.usefixtures("agent")
def test_the_api_server_goes_away_and_comes_back(source: Args, args: Args, cluster: FakeCluster) -> None:
    clock = Clock()
    looking = source["Source"](args, clock)
    assert looking.look() == []
    cluster.fault = lambda _method, _path: (503, "etcdserver: leader changed")
    assert looking.look() == []
    clock.now = 30
    (event,) = looking.look()
    assert event["kind"] == "unreachable" and "etcdserver: leader changed" in event["reason"]
    cluster.fault = lambda _method, _path: None
    assert looking.look() == []
    clock.now = 60
    assert [one["kind"] for one in looking.look()] == ["recovered"]


def test_a_token_that_expires_is_read_again(
    source: Args, args: Args, agent: FakeAgent, cluster: FakeCluster, tmp_path: Path
) -> None:
    config = tmp_path / "kubeconfig"

    def write(token: str) -> None:
        config.write_text(
            json.dumps(
                {
                    "apiVersion": "v1", "kind": "Config", "current-context": "c",
                    "clusters": [{"name": "c", "cluster": {"server": args["host"]}}],
                    "users": [{"name": "u", "user": {"token": token}}],
                    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                }
            )
        )  # fmt: skip

    write("old")
    clock = Clock()
    looking = source["Source"]({"kubeconfig": str(config), "namespaces": ["payments"], "patience": 30}, clock)
    assert looking.look() == []
    agent.report(state="failed", error="no carrier")
    assert looking.look() == []
    first = looking._cluster
    cluster.fault = lambda _method, _path: (401, "Unauthorized")
    clock.now = 10
    assert looking.look() == []
    write("new")
    cluster.fault = lambda _method, _path: None
    clock.now = 30
    assert [one["kind"] for one in looking.look()] == ["not_serving"], "nothing was lost meanwhile"
    keys = [list(one._client.configuration.api_key.values()) for one in (first, looking._cluster)]
    assert keys == [["Bearer old"], ["Bearer new"]]


def test_ansible_rulebook_gets_events_and_the_source_goes_on(source: Args, args: Args, agent: FakeAgent) -> None:
    agent.report(state="failed", error="no carrier")

    async def first_two() -> list[str]:
        queue: asyncio.Queue[Args] = asyncio.Queue()
        running = asyncio.create_task(source["main"](queue, {**args, "patience": 0, "interval": "0.1"}))
        found = [(await asyncio.wait_for(queue.get(), 60))["kind"]]
        agent.report()
        found.append((await asyncio.wait_for(queue.get(), 60))["kind"])
        running.cancel()
        return found

    assert asyncio.run(first_two()) == ["not_serving", "recovered"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"patience": "long"}, "router_status: patience: expected a number of seconds from 0, got 'long'"),
        ({"patience": -1}, "router_status: patience: expected a number of seconds from 0, got -1"),
        ({"patience": True}, "router_status: patience: expected a number of seconds from 0, got True"),
        ({"interval": 0}, "router_status: interval: expected a number of seconds from 0.1, got 0"),
        ({"interval": "inf"}, "router_status: interval: expected a number of seconds from 0.1, got 'inf'"),
        ({"namespaces": "payments"}, "router_status: namespaces: expected a list of namespaces, got 'payments'"),
    ],
)
def test_what_is_wrong_is_said_before_it_starts(source: Args, args: Args, wrong: Args, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        source["Source"]({**args, **wrong})


def test_schema_and_documentation_have_what_the_source_reads(source: Args) -> None:
    schema = json.loads((SOURCE.parent / "schemas/router_status.json").read_text())["properties"]
    options = yaml.safe_load(source["DOCUMENTATION"])["options"]
    assert set(schema) == set(options) - {"host"}
    for name, one in schema.items():
        assert one.get("default") == options[name].get("default"), name
    (example,) = yaml.safe_load(source["EXAMPLES"])
    assert set(example["egress.router.router_status"]) <= set(schema)


def test_galaxy_is_told_of_the_plugins() -> None:
    """Without it, galaxy-importer leaves them out and says nothing."""
    told = [
        one["args"]["ext_dir"] for one in yaml.safe_load((COLLECTION / "meta/extensions.yml").read_text())["extensions"]
    ]
    assert sorted(COLLECTION / "extensions" / one for one in told) == [FILTER.parent, SOURCE.parent]


def test_texts_of_the_cluster_are_no_templates(source: Args, args: Args, agent: FakeAgent) -> None:
    agent.report(state="{{ state }}", node="{%- node %}", error="{{{ error }}} {# x #} {y}")
    (event,) = source["Source"]({**args, "patience": 0}).look()
    assert (event["state"], event["node"]) == ("{ { state }}", "{ %- node %}")
    agent.report(rules_error="{{{ error }}} {# x #} {y}")
    (event,) = [one for one in source["Source"]({**args, "patience": 0}).look() if one["kind"] == "rules_refused"]
    assert event["reason"] == "{ { { error }}} { # x #} {y}"


def test_texts_of_alerts_are_no_templates() -> None:
    alerts = [{"labels": {"router": "{{ x }}", "{% x": "{"}, "n": 1, "yes": True, "nothing": None}]
    assert run_file(FILTER)["main"]({"payload": {"alerts": alerts}}) == {
        "payload": {"alerts": [{"labels": {"router": "{ { x }}", "{ % x": "{"}, "n": 1, "yes": True, "nothing": None}]}
    }
    for path in RULEBOOKS.glob("routers_alerts*.yml"):
        (play,) = yaml.safe_load(path.read_text())
        assert play["sources"][0]["filters"][0] == {"egress.router.plain_text": None}, path.name


VARIABLES = re.compile(r"{{ ((?:router|alerts)_\w+) }}")


@pytest.mark.parametrize("name", ["routers", "routers_run"])
def test_rulebooks_know_the_events(source: Args, name: str) -> None:
    (play,) = yaml.safe_load((RULEBOOKS / f"{name}.yml").read_text())
    (given,) = [one["egress.router.router_status"] for one in play["sources"]]
    assert set(given) <= set(yaml.safe_load(source["DOCUMENTATION"])["options"])
    events = importlib.import_module(source["Tracker"].__module__)
    told = [
        events.NOT_SERVING, events.SILENT, events.NODE_NOT_READY, events.RULES_REFUSED, events.RULES_CHANGED,
        events.NO_SUCCESSOR,
    ]  # fmt: skip
    # A string of words in quotes, as in YAML.
    handled = [yaml.safe_load(rule["condition"].removeprefix("event.kind in ")) for rule in play["rules"]]
    assert handled == [told, [events.RECOVERED, events.UNREACHABLE]]


@pytest.mark.parametrize("name", ["routers", "routers_alerts"])
def test_a_rulebook_and_that_for_the_command_line_differ_in_what_runs(name: str) -> None:
    (workflow,), (playbook,) = (yaml.safe_load((RULEBOOKS / f"{one}.yml").read_text()) for one in (name, f"{name}_run"))
    launched = workflow["rules"][0].pop("action")["run_workflow_template"]["job_args"]["extra_vars"]
    run = playbook["rules"][0].pop("action")["run_playbook"]["extra_vars"]
    assert launched == run and workflow == playbook


def test_rulebooks_and_their_variables_are_explained() -> None:
    page = (COLLECTION / "docs/events.md").read_text()
    for path in RULEBOOKS.glob("*.yml"):
        assert f"| `egress.router.{path.stem}` |" in page, path.name
        for variable in VARIABLES.findall(path.read_text()):
            assert f"| `{variable}` |" in page, (path.name, variable)
