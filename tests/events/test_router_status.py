# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The source router_status and the rulebook routers_run in a real ansible-rulebook: cause, event, action.

All causes begin at the same time, so the tests wait beside each other. Their order is that of the story: what outlives the
end of the API server and of the rulebook comes last.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest
from egress_support import api_server, process

from ansible_collections.egress.router.plugins.module_utils._contract import names
from ansible_collections.egress.router.tests.api_server.api import Api, Refused
from ansible_collections.egress.router.tests.events.routers import LEASE_SECONDS, NAMESPACE, Router, set_node
from ansible_collections.egress.router.tests.events.rulebook import RULEBOOKS, Action, Rulebook
from ansible_collections.egress.router.tests.support import waiting

# The API server signs for itself.
pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
# On a machine that is busy.
until = partial(waiting.until, seconds=120)

PATIENCE = 4
# What the shipped rulebook leaves at 5 seconds.
INTERVAL = 1.0
# What docs/events.md says that the source reads.
READS = [
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["list"]},
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["pods", "nodes", "configmaps"], "verbs": ["list"]},
]


@dataclass
class World:
    """`causes`: when which router's problem began."""

    state: Path
    api: Api
    rulebook: Rulebook
    kubeconfig: Path
    routers: dict[str, Router] = field(default_factory=dict)
    causes: dict[str, float] = field(default_factory=dict)

    def log_in(self, token: str) -> None:
        """Gives the rulebook's user another token."""
        text = json.loads((self.state / "kubeconfig").read_text())
        text["users"][0]["user"]["token"] = token
        self.kubeconfig.write_text(json.dumps(text))

    def actions(self, name: str) -> list[Action]:
        return [action for action in self.rulebook.actions() if action.event["name"] == name]

    def told(self, name: str = "") -> list[str]:
        return self.rulebook.told(f"{NAMESPACE}/{name}" if name else "")

    def figure(self, name: str) -> str:
        (action,) = self.actions(name)
        event = datetime.fromisoformat(action.event["meta"]["received_at"].replace("Z", "+00:00")).timestamp()
        return (
            f"{action.event['kind']:<15} event {event - self.causes[name]:5.2f} s after its cause (patience {PATIENCE} s), "
            f"action {action.at - event:5.2f} s after the event"
        )


def problems(api: Api, routers: dict[str, Router]) -> dict[str, tuple[str, Callable[[], None], Callable[[], None]]]:
    """By router: the event, its cause and its end."""
    waits = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    runs = {"running": {"startedAt": "2026-11-27T00:00:00Z"}}
    of = routers.__getitem__
    return {
        "pod-does-not-start": ("not_serving", lambda: of("pod-does-not-start").kubelet("pod-does-not-start-a", waits),
                               lambda: of("pod-does-not-start").kubelet("pod-does-not-start-a", runs)),
        "silent": ("silent", lambda: of("silent").report(renewed_before=LEASE_SECONDS + 61), of("silent").report),
        "node-lost": ("node_not_ready", lambda: set_node(api, "worker-2", "Unknown"), lambda: set_node(api, "worker-2", "True")),
        "refused": ("rules_refused", lambda: of("refused").report(rules_error=TEMPLATE), of("refused").report),
        "edited": ("rules_changed", lambda: of("edited").write_rules("5432 TCP 203.0.113.66\n", "kubectl-edit"),
                   lambda: of("edited").write_rules("5432 TCP 203.0.113.10\n", names.FIELD_MANAGER_RULES)),
        "alone": ("no_successor", lambda: of("alone").delete("alone-b"), lambda: of("alone").start("alone-b")),
    }  # fmt: skip


# What Ansible would evaluate.
TEMPLATE = "line 1: {{ 'no' ~ ' port' }}"
NAMES = ("pod-does-not-start", "silent", "node-lost", "refused", "edited", "alone")
FLOODED = tuple(f"flooded-{number}" for number in range(10))
# That of the flood which does not mend in the end.
LOST = FLOODED[3]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    state, folder = tmp_path_factory.mktemp("servers"), tmp_path_factory.mktemp("rulebook")
    try:
        api = Api(api_server.url(api_server.start(state, users=["rulebook"])))
        api("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        _permit(api)
        kubeconfig = folder / "kubeconfig"
        rulebook = Rulebook(
            folder,
            _with_interval(folder),
            {"router_namespaces": [NAMESPACE], "router_patience": PATIENCE},
            {"K8S_AUTH_KUBECONFIG": str(kubeconfig)},
        )
        made = World(state, api, rulebook, kubeconfig)
        made.log_in("rulebook")
        # It starts while the routers are created.
        rulebook.start()
        for node in ("worker-1", "worker-2"):
            set_node(api, node, "True")
        for name in (*NAMES, *FLOODED, "mended", "throttled", "began-before"):
            made.routers[name] = Router(
                api, name, "worker-2" if name == "node-lost" else "worker-1", 1 + (name == "alone")
            )
        _begin(made)
        yield made
    finally:
        process.stop_all(folder)
        process.stop_all(state)


def _permit(api: Api) -> None:
    path, role = "/apis/rbac.authorization.k8s.io/v1", {"metadata": {"name": "rulebook"}, "rules": READS}
    api("POST", f"{path}/clusterroles", role)
    api("POST", f"{path}/clusterrolebindings", {
        "metadata": {"name": "rulebook"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "rulebook"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "rulebook"}],
    })  # fmt: skip


def _with_interval(folder: Path) -> Path:
    """The shipped rulebook, but that it looks more often."""
    text, line = (RULEBOOKS / "routers_run.yml").read_text(), '        patience: "{{ router_patience }}"\n'
    assert text.count(line) == 1
    path = folder / "routers_run.yml"
    path.write_text(text.replace(line, f"{line}        interval: {INTERVAL}\n"))
    return path


def _begin(world: World) -> None:
    """All causes, once the rulebook looks, so that the figures have nothing of its start."""
    failed = {"state": "failed", "error": "no carrier"}
    until(lambda: _is_asked(world.api) or not world.rulebook.alive, "the rulebook has looked")
    assert world.rulebook.alive, world.rulebook.output
    world.routers["throttled"].report(**failed)
    for name, (_kind, cause, _end) in problems(world.api, world.routers).items():
        world.causes[name] = time.time()
        cause()
    world.routers["mended"].report(**failed)
    waiting.always(lambda: not world.told("mended"), "it is too early", PATIENCE / 3)
    world.routers["mended"].report()
    for number in range(1000):
        name = FLOODED[number // 100]
        lost = number % 2 == 0 or (number % 100 == 99 and name == LOST)
        world.routers[name].report(**({"state": "failed", "error": f"change {number}"} if lost else {}))


def test_a_problem_that_comes_back_is_told_again_and_nothing_runs(world: World) -> None:
    """Within the ten minutes of the rulebook's throttle. First of all, because playbooks run meanwhile, one after another."""
    for turn in (1, 2):
        until(lambda turn=turn: len(world.told("throttled")) == 2 * turn - 1, "it is told")
        world.routers["throttled"].report()
        until(lambda turn=turn: len(world.told("throttled")) == 2 * turn, "it has recovered")
        if turn == 1:
            world.routers["throttled"].report(state="failed", error="no carrier")
    assert world.told("throttled") == ["not_serving", "recovered"] * 2


@pytest.mark.parametrize("name", NAMES)
def test_cause_event_and_action(world: World, name: str, record_property: Callable[[str, object], None]) -> None:
    (action,) = until(lambda: world.actions(name), "the playbook has run")
    kind = problems(world.api, world.routers)[name][0]
    assert (action.event["kind"], action.event["router"]) == (kind, f"{NAMESPACE}/{name}") and action.event["reason"]
    assert world.told(name) == [kind]
    if name == "refused":
        assert action.event["reason"] == "line 1: { { 'no' ~ ' port' }}"
    record_property("figure", world.figure(name))


def test_a_thousand_changes_lose_nothing_and_tell_nothing_twice(world: World) -> None:
    until(lambda: world.actions(LOST), "the playbook has run for the one that did not mend")
    found = {name: (world.told(name), len(world.actions(name))) for name in FLOODED}
    assert found == {name: (["not_serving"], 1) if name == LOST else ([], 0) for name in FLOODED}
    assert world.actions(LOST)[0].event["reason"].endswith("change 399")


def test_a_router_that_mends_itself_within_the_patience_is_nothing(world: World) -> None:
    """By now playbooks have run for all that began after it."""
    assert world.told("mended") == [] and world.actions("mended") == []
    assert len(world.actions("throttled")) == 1, "nor has anything run for one that came back within ten minutes"


def test_the_end_of_each_problem(world: World) -> None:
    for _kind, _cause, end in problems(world.api, world.routers).values():
        end()
    world.routers[LOST].report()
    until(lambda: all("recovered" in world.told(name) for name in (*NAMES, LOST)), "all have recovered")
    ends = {event["name"]: event["problem"] for event in world.rulebook.events() if event["kind"] == "recovered"}
    for name, (kind, _cause, _end) in problems(world.api, world.routers).items():
        assert (world.told(name), ends[name]) == ([kind, "recovered"], kind) and len(world.actions(name)) == 1


def test_the_api_server_goes_away_and_comes_back_with_another_token(world: World) -> None:
    world.routers["began-before"].report(state="failed", error="no carrier")
    process.stop(world.state, "kube-apiserver")
    until(lambda: world.told() == ["unreachable"], "it is told that the API server is away")
    tokens = world.state / "tokens.csv"
    tokens.write_text(tokens.read_text().replace("rulebook,rulebook,", "another,rulebook,"))
    process.start_again(world.state, "kube-apiserver")
    until(lambda: _is_ready(world.api), "the API server is back")
    with pytest.raises(Refused, match="Unauthorized"):
        Api(world.api.url, "rulebook").get(f"/api/v1/namespaces/{NAMESPACE}/pods")
    waiting.always(lambda: world.told() == ["unreachable"], "the old token is refused", 2 * INTERVAL)
    world.log_in("another")
    until(lambda: world.actions("began-before"), "the playbook has run for what began before")
    until(lambda: world.told() == ["unreachable", "recovered"], "it is told that the API server is back")
    assert world.rulebook.alive and world.told("began-before") == ["not_serving"]
    others = [name for name in world.routers if name != "began-before"]
    assert not [name for name in others if (world.told(name) or ["recovered"])[-1] != "recovered"], (
        "nobody else has one"
    )


def test_after_a_restart_it_acts_once_on_what_is_still_wrong(world: World) -> None:
    before, told = len(world.rulebook.actions()), len(world.rulebook.events())
    world.rulebook.stop()
    world.rulebook.start()
    until(lambda: len(world.rulebook.actions()) > before, "the playbook has run again")
    # Another problem, whose event is behind whatever else would be told.
    world.routers["mended"].report(state="failed", error="no carrier")
    until(lambda: world.told("mended"), "another router is told")
    assert [event["name"] for event in world.rulebook.events()[told:]] == ["began-before", "mended"]


def _is_asked(api: Api) -> bool:
    """Whether somebody has listed Deployments of a namespace: there are no controllers, and the tests do not."""
    text = api("GET", "/metrics")
    asked = re.findall(r"^apiserver_request_total{(.*)}", text, re.MULTILINE)
    return any(
        {'resource="deployments"', 'scope="namespace"', 'verb="LIST"', 'code="200"'} <= set(one.split(","))
        for one in asked
    )


def _is_ready(api: Api) -> bool:
    try:
        return bool(api("GET", "/readyz") == "ok")
    except Exception:
        return False
