# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of containers: which container, which entry, and where the text comes from."""

from __future__ import annotations

from typing import Any

from ansible_collections.egress.router.plugins.module_utils._migrate.environment import config_maps, variables
from ansible_collections.egress.router.plugins.module_utils._migrate.objects import Objects, Workload

CONFIG_MAP = {
    "kind": "ConfigMap",
    "metadata": {"name": "m", "namespace": "ns"},
    "data": {"EGRESS_A": "of m", "key": "of key", "B": "b"},
}


def found(**spec: Any) -> dict[str, Any]:
    pod = {"kind": "Pod", "metadata": {"name": "a", "namespace": "ns"}, "spec": spec}
    objects = Objects([pod, CONFIG_MAP])
    (workload,) = objects.workloads()
    return {name: variable.text for name, variable in variables(workload, objects).items()}


def env(*entries: tuple[str, Any]) -> dict[str, Any]:
    return {
        "env": [{"name": name, **(value if isinstance(value, dict) else {"value": value})} for name, value in entries]
    }


def test_the_first_container_counts_and_init_containers_come_first() -> None:
    first, second, third = (env(("EGRESS_A", text)) for text in "123")
    assert found(containers=[second, third], initContainers=[first]) == {"EGRESS_A": "1"}
    assert found(containers=[second, third]) == {"EGRESS_A": "2"}
    # Proxies have theirs in another container.
    assert found(initContainers=[first], containers=[env(("EGRESS_B", "b"))]) == {"EGRESS_A": "1", "EGRESS_B": "b"}


def test_within_a_container_the_last_entry_counts_and_entries_win_over_whole_config_maps() -> None:
    whole = {"envFrom": [{"configMapRef": {"name": "m"}}]}
    assert found(containers=[whole]) == {"EGRESS_A": "of m"}
    assert found(containers=[{**whole, **env(("EGRESS_A", "1"), ("EGRESS_A", "2"), ("PATH", "/bin"))}]) == {
        "EGRESS_A": "2"
    }
    assert found(containers=[{"envFrom": [{"prefix": "EGRESS_", "configMapRef": {"name": "m"}}]}]) == {
        "EGRESS_EGRESS_A": "of m", "EGRESS_key": "of key", "EGRESS_B": "b",
    }  # fmt: skip
    assert found(containers=[{"envFrom": [{"secretRef": {"name": "m"}}, {"configMapRef": {"name": "none"}}]}]) == {}


def test_values_without_text() -> None:
    key = {"valueFrom": {"configMapKeyRef": {"name": "m", "key": "key"}}}
    entries = [
        ("EGRESS_A", key),
        ("EGRESS_B", {}),
        ("EGRESS_C", {"valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}),
    ]
    assert found(containers=[env(*entries)]) == {"EGRESS_A": "of key", "EGRESS_B": "", "EGRESS_C": None}


def test_only_config_maps_of_these_variables_are_named() -> None:
    def key(name: str) -> dict[str, Any]:
        return {"valueFrom": {"configMapKeyRef": {"name": name, "key": "key"}}}

    pod = {
        "kind": "Pod",
        "metadata": {"name": "a"},
        "spec": {"containers": [env(("EGRESS_A", key("one")), ("OTHER", key("two")))]},
    }
    workloads: list[Workload] = Objects([pod]).workloads()
    assert config_maps(workloads[0]) == ["one"]
