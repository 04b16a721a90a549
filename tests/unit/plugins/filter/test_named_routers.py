# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter named_routers."""

from __future__ import annotations

from typing import Any

from ansible_collections.egress.router.plugins.filter.named_routers import named_routers

DEFAULTS = {"namespace": "payments", "image": "img:1"}


def router(name: str, host: int, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "addresses": [{"ip": f"198.51.100.{host}/24", "gateway": "198.51.100.1"}],
        "fallback_ip": "203.0.113.9",
        **more,
    }


ROUTERS = [router("a", 50), router("b", 51), router("a", 52, namespace="shop")]


def test_those_that_are_named() -> None:
    found = named_routers(ROUTERS, ["shop/a", "payments/b", "shop/a"], DEFAULTS)
    assert (found["problems"], found["routers"]) == ([], [ROUTERS[2], ROUTERS[1]])
    assert found["selection"] == [
        {"name": "a", "namespace": "shop", "backend": "agent"},
        {"name": "b", "namespace": "payments", "backend": "agent"},
    ]
    assert named_routers(ROUTERS, [], DEFAULTS) == {"problems": [], "routers": [], "selection": []}


def test_all_that_are_not_absent() -> None:
    found = named_routers([*ROUTERS, {"name": "old", "state": "absent"}], None, DEFAULTS)
    assert (found["problems"], found["routers"]) == ([], ROUTERS)
    assert [f"{one['namespace']}/{one['name']}" for one in found["selection"]] == ["payments/a", "payments/b", "shop/a"]


def test_all_names_that_are_not_there() -> None:
    found = named_routers(ROUTERS, ["payments/c", "payments/a", "a"], DEFAULTS)
    assert found["routers"] == []
    assert found["problems"] == [
        f"there is no router '{name}' in egress_routers: there is payments/a, payments/b, shop/a"
        for name in ("payments/c", "a")
    ]


def test_a_list_that_cannot_work() -> None:
    found = named_routers([router("a", 50, replicas=0)], ["payments/a"], DEFAULTS)
    assert found["routers"] == [] and "replicas" in found["problems"][0]
