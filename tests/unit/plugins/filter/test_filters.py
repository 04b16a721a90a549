# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters as templates call them; what they compute is tested with the model."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

ROUTERS = [{"name": "a", "namespace": "n", "addresses": [{"ip": "198.51.100.5/24"}]}]
DEFAULTS = {"image": "img:1"}


def filter_of(name: str) -> Callable[..., Any]:
    module = importlib.import_module(f"ansible_collections.egress.router.plugins.filter.{name}")
    found: Callable[..., Any] = module.FilterModule().filters()[name]
    return found


def test_routers() -> None:
    assert filter_of("routers")(ROUTERS, DEFAULTS)[0]["mac"] == "02:e6:c6:33:64:05"


def test_router_problems() -> None:
    assert filter_of("router_problems")(ROUTERS, DEFAULTS) == []
    assert len(filter_of("router_problems")(ROUTERS)) == 1


@pytest.mark.parametrize(("name", "arguments"), [
    ("routers", []),
])  # fmt: skip
def test_problems_stop_the_others(name: str, arguments: list[Any]) -> None:
    with pytest.raises(AnsibleFilterError, match="router n/a, image: is required"):
        filter_of(name)(ROUTERS, *arguments)
