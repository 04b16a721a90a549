# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter security_context_constraints: what a cluster-admin of OpenShift applies."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.egress.router.plugins.filter.security_context_constraints import FilterModule
from ansible_collections.egress.router.plugins.module_utils._router import openshift
from ansible_collections.egress.router.plugins.plugin_utils import _routers

constraints = FilterModule().filters()["security_context_constraints"]
GOLDEN = Path(__file__).parent / "security_context_constraints.yaml.golden"
DEFAULTS = {"image": "img:1", "namespace": "payments", "security_context_constraints": "egress-router"}


@pytest.fixture(autouse=True)
def own_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_routers.constants, "DEFAULT_LOCAL_TMP", str(tmp_path))


def router(number: int, **keys: Any) -> dict[str, Any]:
    return {"name": f"db-{number}", "addresses": [{"ip": f"198.51.100.{number}/24"}], **keys}


def test_each_is_there_once_and_those_of_openshift_are_not() -> None:
    of = [
        router(5),
        router(6),
        router(7, security_context_constraints="other.one"),
        router(8, security_context_constraints="privileged"),
        router(9, security_context_constraints="gone", state="absent"),
    ]
    found = constraints(of, DEFAULTS)
    assert [(one["name"], one["file"]) for one in found] == [
        ("egress-router", "cluster-admin/egress-router.yaml"),
        ("other.one", "cluster-admin/other.one.yaml"),
    ]
    for one in found:
        assert yaml.safe_load(one["content"]) == openshift.security_context_constraints(one["name"])
        assert f"kubectl apply --server-side --filename={one['file']}\n" in one["content"]


def test_what_is_written() -> None:
    """The whole file, as people read it; after a change that is meant, write it anew as test_manifests.py says."""
    (found,) = constraints([router(5)], DEFAULTS)
    if os.environ.get("EGRESS_WRITE_MANIFESTS"):
        GOLDEN.write_text(found["content"])
    assert found["content"] == GOLDEN.read_text()


def test_there_are_none_without_the_key() -> None:
    assert constraints([router(5)], {"image": "img:1", "namespace": "payments"}) == []


def test_problems_are_told() -> None:
    with pytest.raises(AnsibleFilterError, match=r"payments/db-5.*'No!' is not the name of an object"):
        constraints([router(5, security_context_constraints="No!")], DEFAULTS)
