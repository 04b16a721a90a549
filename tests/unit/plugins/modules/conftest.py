# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs modules in this process against the fake API server."""

from __future__ import annotations

import importlib
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.egress.router.plugins.module_utils._common.errors import InputError
from ansible_collections.egress.router.plugins.module_utils._pools import option as pools_option
from ansible_collections.egress.router.plugins.module_utils._router import checked, option
from ansible_collections.egress.router.plugins.module_utils._router.routers import load
from ansible_collections.egress.router.tests.support.fake_api_server import FakeCluster, serving

Run = Callable[..., "dict[str, Any]"]
# What the modules' action plugins do with their arguments. The plugins themselves cannot be imported here: ansible-test hides
# the controller's code from the tests of modules.
ARGUMENTS = {
    "address_pool": pools_option.arguments,
    "cutover": option.routers_arguments,
    "drill": option.routers_arguments,
    "preflight_info": option.routers_arguments,
    "redirect_rules": option.rules_arguments,
    "router": option.routers_arguments,
}


def read_text(data: Any, defaults: Any, absent: bool) -> tuple[str, list[Any]]:
    routers, problems = load(data, defaults, absent)
    return checked.dump(routers), problems


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def run(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """run("redirect_rules", check=True, routers=[...]) returns what the module printed."""
    # kubernetes.core keeps what it discovered in the temporary folder.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for variable in ("HOST", "API_KEY", "KUBECONFIG", "CONTEXT"):
        monkeypatch.delenv(f"K8S_AUTH_{variable}", raising=False)

    with serving(cluster) as url:

        def run_module(name: str, check: bool = False, **options: Any) -> dict[str, Any]:
            module = importlib.import_module(f"ansible_collections.egress.router.plugins.modules.{name}")
            if name in ARGUMENTS:
                try:
                    options = ARGUMENTS[name](options, read_text)
                except InputError as error:
                    return {"failed": True, "msg": str(error)}
            given = {"host": url, "api_key": "token", **options}
            given.update(_ansible_check_mode=check, _ansible_diff=True)
            with patch_module_args(given), pytest.raises(SystemExit) as left:
                module.main()
            result: dict[str, Any] = json.loads(capsys.readouterr().out)
            assert bool(left.value.code) == bool(result.get("failed")), result
            return result

        yield run_module
