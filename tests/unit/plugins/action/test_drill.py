# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks drill and hand_over in a run of Ansible."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._contract.watch import Gap
from ansible_collections.egress.router.tests.support.fake_api_server import FakeCluster, add_router, serving
from ansible_collections.egress.router.tests.support.fake_pair import Pair
from ansible_collections.egress.router.tests.support.fake_watch import GOOD, TCP, Watch

DEFAULTS = {"namespace": "payments", "image": "img:1", "replicas": 2}
ROUTERS: list[dict[str, Any]] = [
    {
        "name": name,
        "addresses": [{"ip": f"198.51.100.{host}/24", "gateway": "198.51.100.1"}],
        "redirect_rules": [
            {"port": 5432, "destination_ip": "203.0.113.10"},
            {"port": 53, "protocol": "UDP", "destination_ip": "203.0.113.12"},
        ],
        **more,
    }
    for name, host, more in (("billing-db", 50, {}), ("single", 51, {"replicas": 1}), ("old", 52, {"state": "absent"}))
]  # fmt: skip
Play = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def pair() -> Pair:
    cluster = FakeCluster()
    for node in ("worker-1", "worker-2"):
        cluster.add("nodes", "", node, spec={})
    add_router(cluster, "payments", "single")
    return Pair(cluster)


@pytest.fixture
def watch(pair: Pair) -> Watch:
    found = Watch(pair.cluster)
    found.moves = lambda: pair.moves
    return found


@pytest.fixture
def play(pair: Pair, tmp_path: Path) -> Iterator[Play]:
    with serving(pair.cluster) as url:

        def run(playbook: str, *options: str, **variables: Any) -> subprocess.CompletedProcess[str]:
            given = {"egress_routers": ROUTERS, "egress_router_defaults": DEFAULTS, **variables}
            environment = {key: value for key, value in os.environ.items() if not key.startswith("K8S_")}
            environment |= {"K8S_AUTH_HOST": url, "K8S_AUTH_API_KEY": "token", "HOME": str(tmp_path)}
            return subprocess.run(
                ["ansible-playbook", f"egress.router.{playbook}", "-e", json.dumps(given), *options],
                cwd=tmp_path,
                env={**environment, "ANSIBLE_LOCAL_TEMP": str(tmp_path)},
                capture_output=True,
                text=True,
                check=False,
            )

        yield run


def test_a_drill(play: Play, pair: Pair, watch: Watch, tmp_path: Path) -> None:
    # As a survey and the command line have it.
    texts = {
        "drill_routers": "payments/billing-db",
        "drill_events": "hand_over,pod_deleted",
        "drill_max_seconds": "0.5",
    }
    done = play("drill", drill_report_path="drill.json", **texts)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 router: 2 passed, 0 failed" in done.stdout and "hand_over    billing-db-abc on worker-1" in done.stdout
    report = json.loads((tmp_path / "drill.json").read_text())
    assert report["ok"] and [event["limit"] for event in report["routers"][0]["events"]] == [0.5, 0.5]
    assert pair.moves == 2 and len(watch.created) == 1 and watch.left() == []


def test_a_drill_that_fails_writes_its_report(play: Play, pair: Pair, watch: Watch, tmp_path: Path) -> None:
    gap = replace(GOOD[TCP], failed=130, gaps=(Gap(5.0, 1.3, 130),))
    watch.trouble = lambda period: replace(period, targets=(gap, period.targets[1]))
    done = play("drill", drill_report_path="drill.json", drill_routers=["payments/billing-db"])
    assert done.returncode == 2 and f"{TCP} was without service for 1.30 s, more than 1 s" in done.stdout
    assert not json.loads((tmp_path / "drill.json").read_text())["ok"] and pair.moves == 1


def test_check_mode_touches_nothing(play: Play, pair: Pair, watch: Watch, tmp_path: Path) -> None:
    done = play("drill", "--check", drill_report_path="drill.json", drill_routers=["payments/billing-db"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        "hand_over: ask pod billing-db-abc to hand over; then pod billing-db-xyz on node worker-2 is to serve"
        in done.stdout
    )
    assert pair.cluster.writes == [] and watch.created == [] and not (tmp_path / "drill.json").exists()


def test_what_cannot_be_drilled(play: Play, pair: Pair) -> None:
    done = play("drill")
    assert (
        done.returncode == 2 and "router payments/single: it has one replica, so its clients would wait" in done.stdout
    )
    assert pair.cluster.writes == []


def test_hand_over(play: Play, pair: Pair) -> None:
    done = play("hand_over", drill_routers="payments/billing-db")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "to pod billing-db-xyz on node worker-2, nobody served for 0.05 s" in done.stdout and pair.moves == 1
    # Without names it is all of the list that are not absent.
    done = play("hand_over")
    assert done.returncode == 2 and pair.moves == 1
    assert "router payments/single: no pod stands by, because its replicas are 1" in done.stdout
    assert "payments/old" not in done.stdout
