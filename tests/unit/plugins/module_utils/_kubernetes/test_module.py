# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module on a cluster where no server is needed; the rest is tested through the modules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.kubernetes.core.plugins.module_utils.k8s import core

from ansible_collections.egress.router.plugins.module_utils._common.errors import EgressError
from ansible_collections.egress.router.plugins.module_utils._kubernetes.module import EgressModule


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(core, "gather_versions", dict)
    with patch_module_args({}), pytest.raises(SystemExit):
        EgressModule(argument_spec={})
    assert "Failed to import the required Python library (kubernetes)" in json.loads(capsys.readouterr().out)["msg"]


def test_without_any_cluster_it_says_how_to_name_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("HOST", "API_KEY", "KUBECONFIG", "CONTEXT"):
        monkeypatch.delenv(f"K8S_AUTH_{variable}", raising=False)
    monkeypatch.setenv("K8S_AUTH_KUBECONFIG", str(tmp_path / "none"))
    with patch_module_args({}):
        module = EgressModule(argument_spec={})
    with pytest.raises(EgressError, match="name the cluster with kubeconfig and context"):
        module.connect()
