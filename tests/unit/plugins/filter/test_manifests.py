# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter manifests: files for people who apply the routers themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.egress.router.plugins.filter.manifests import FilterModule
from ansible_collections.egress.router.plugins.module_utils._router.manifests import whole_manifests
from ansible_collections.egress.router.plugins.module_utils._router.routers import load
from ansible_collections.egress.router.plugins.plugin_utils import _routers

manifests = FilterModule().filters()["manifests"]
ROUTERS: list[dict[str, Any]] = [
    {
        "name": "db",
        "namespace": "payments",
        "addresses": [{"ip": "198.51.100.5/24"}],
        "redirect_rules": [{"port": 5432, "destination_ip": "198.51.100.10"}],
    },
    {"name": "old", "namespace": "payments", "state": "absent"},
]
DEFAULTS = {"image": "img:1"}


@pytest.fixture(autouse=True)
def own_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_routers.constants, "DEFAULT_LOCAL_TMP", str(tmp_path))


def test_a_file_has_the_whole_router() -> None:
    db, old = manifests(ROUTERS, DEFAULTS)
    assert (db["file"], db["state"]) == ("payments_db.yaml", "present")
    routers, _problems = load(ROUTERS, DEFAULTS)
    assert list(yaml.safe_load_all(db["content"])) == whole_manifests(routers[0])
    assert db["content"].startswith("# Egress router payments/db, ") and "5432 TCP 198.51.100.10\n" in db["content"]
    assert {key: old[key] for key in ("file", "state", "content")} == {
        "file": "payments_old.yaml", "state": "absent", "content": "",
    }  # fmt: skip


def test_a_router_of_the_operator_is_its_resource_and_service_and_the_rest_is_said() -> None:
    changes = {"backend": "egress_router_cr", "addresses": [{"ip": "198.51.100.5/24", "gateway": "198.51.100.1"}]}
    (db,) = manifests([{**ROUTERS[0], **changes}], DEFAULTS)
    assert [one["kind"] for one in yaml.safe_load_all(db["content"])] == ["EgressRouter", "Service"]
    head = " ".join(line.removeprefix("# ") for line in db["content"].partition("---")[0].splitlines())
    assert (
        "strategy Recreate" in head
        and "changed rules and addresses are not live until somebody restarts the pod" in head
    )


def test_the_secret_of_a_pair_is_not_in_the_file_which_says_how_it_comes_into_being() -> None:
    (pair,) = manifests([{**ROUTERS[0], "replicas": 2}], DEFAULTS)
    objects = list(yaml.safe_load_all(pair["content"]))
    assert "PodDisruptionBudget" in [one["kind"] for one in objects]
    assert "Secret" not in [one["kind"] for one in objects]
    head = pair["content"].partition("---")[0]
    assert "kubectl create secret generic db-peers --namespace=payments --from-file=key\n" in head
    (single,) = manifests(ROUTERS[:1], DEFAULTS)
    assert "secret" not in single["content"].lower()


def test_the_text_is_the_same_on_every_run() -> None:
    assert manifests(ROUTERS, DEFAULTS) == manifests(ROUTERS, DEFAULTS)


def test_problems_are_told() -> None:
    with pytest.raises(AnsibleFilterError, match="payments/db"):
        manifests(ROUTERS)
