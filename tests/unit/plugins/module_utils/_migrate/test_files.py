# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects from files and texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.egress.router.plugins.module_utils._common.errors import InputError
from ansible_collections.egress.router.plugins.module_utils._migrate.files import read_files
from ansible_collections.egress.router.plugins.module_utils._migrate.objects import Objects
from ansible_collections.egress.router.plugins.module_utils._migrate.run import read_networks


def test_files_directories_and_a_text(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below/a.yaml").write_text("kind: Pod\nmetadata: {name: a}\n---\n---\nkind: Pod\nmetadata: {name: b}\n")
    (tmp_path / "c.json").write_text('{"kind": "PodList", "items": [{"metadata": {"name": "c"}}]}')
    (tmp_path / "notes.txt").write_text("no: manifest")
    (tmp_path / "d.yml").write_text("kind: List\nitems: [{kind: PodList, items: [{metadata: {name: d}}]}]")
    found = Objects(read_files([str(tmp_path)], "kind: Pod\nmetadata: {name: e}"))
    assert [item["metadata"]["name"] for item in found.of("Pod")] == ["a", "b", "c", "d", "e"]


def test_all_that_cannot_be_read_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("a: [")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "values.yaml").write_text("kind: Pod\n---\nreplicas: 1\n")
    with pytest.raises(InputError) as error:
        read_files([str(tmp_path), str(tmp_path / "missing.yaml")], "- a")
    assert [line.replace(f"{tmp_path}/", "").partition(": while")[0] for line in str(error.value).splitlines()] == [
        "cannot read binary.yaml: it is not text in UTF-8",
        "cannot read missing.yaml: No such file or directory",
        "manifests: document 1 is not a Kubernetes object: it has no kind",
        "bad.yaml is not YAML",
        "values.yaml: document 2 is not a Kubernetes object: it has no kind",
    ]


@pytest.mark.parametrize(("text", "sentence"), [
    ("{kind: List, items: 5}", "List: its items are not a list of objects"),
    ("{kind: List, items: [5]}", "List: its items are not a list of objects"),
    ("{kind: Pod, metadata: {name: a}, spec: {containers: {}}}", "Pod a, spec.containers: expected a list, got a dictionary"),
    ("{kind: Pod, metadata: a}", "Pod , metadata: expected a dictionary, got the string 'a'"),
    ("{kind: Pod, metadata: {name: a}, spec: {containers: [null, {env: [x]}]}}", "spec.containers[1].env[0]: expected a dictionary"),
    ("{kind: Deployment, metadata: {name: a}, spec: {replicas: many}}", "spec.replicas: expected a whole number"),
    ("{kind: Service, metadata: {name: a}, spec: {ports: [{port: http}]}}", "spec.ports[0].port: expected a whole number"),
    ("{kind: EgressRouter, metadata: {name: a}, spec: {redirect: {redirectRules: [80]}}}", "redirectRules[0]: expected a dictionary"),
    ("{kind: EgressRouter, metadata: {name: a}, spec: {addresses: 192.0.2.1/24}}", "spec.addresses: expected a list"),
])  # fmt: skip
def test_objects_of_another_shape_are_told(text: str, sentence: str) -> None:
    with pytest.raises(InputError) as error:
        read_files([], text)
    assert str(error.value).startswith("manifests: document 1, ") and sentence in str(error.value)


def test_what_nobody_looks_at_may_have_any_shape() -> None:
    assert len(read_files([], "{kind: Route, spec: 5}\n---\n{kind: Pod, metadata: {name: a}, spec: {volumes: 5}}")) == 2


def test_networks() -> None:
    assert [str(network) for network in read_networks(["192.168.12.0/24", "2001:db8::/64"])] == [
        "192.168.12.0/24",
        "2001:db8::/64",
    ]
    with pytest.raises(InputError) as error:
        read_networks(["192.168.12.99/24", "lan"])
    assert str(error.value).splitlines() == [
        "networks: '192.168.12.99/24' is not a network: write it as 192.168.12.0/24",
        "networks: 'lan' is not a network: write it as 198.51.100.0/24",
    ]
