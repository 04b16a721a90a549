# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter cluster_roles: what a cluster-admin applies for those who run the collection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.egress.router.plugins.filter.cluster_roles import FilterModule
from ansible_collections.egress.router.plugins.module_utils._egress_router_cr import manifests
from ansible_collections.egress.router.plugins.plugin_utils import _routers

cluster_roles = FilterModule().filters()["cluster_roles"]


@pytest.fixture(autouse=True)
def own_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_routers.constants, "DEFAULT_LOCAL_TMP", str(tmp_path))


def router(**keys: Any) -> dict[str, Any]:
    address = {"ip": "198.51.100.5/24", "gateway": "198.51.100.1"}
    return {"name": "db", "namespace": "payments", "backend": "egress_router_cr", "addresses": [address], **keys}


def test_they_are_there_if_a_router_needs_them() -> None:
    (found,) = cluster_roles([router()])
    assert found["file"] == "cluster-admin/cluster-roles.yaml"
    assert list(yaml.safe_load_all(found["content"])) == manifests.cluster_roles()
    assert f"kubectl apply --server-side --filename={found['file']}\n" in found["content"]
    for role in manifests.cluster_roles():
        assert f"--clusterrole={role['metadata']['name']} " in found["content"]
    assert cluster_roles([router(state="absent"), router(name="web", backend="agent", image="x")]) == []


def test_problems_are_told() -> None:
    with pytest.raises(AnsibleFilterError, match="payments/db, replicas"):
        cluster_roles([router(replicas=2)])
