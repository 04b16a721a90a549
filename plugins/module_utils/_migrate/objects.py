# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Kubernetes objects as they were read from a cluster or from files, and what old routers look for in them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from .._contract import names
from .report import Source

Object: TypeAlias = "Mapping[str, Any]"

# Whatever makes pods, and pods. Each is described by the first of its owners that was read.
WORKLOADS = ("Deployment", "DeploymentConfig", "ReplicationController", "ReplicaSet", "Pod")
# ConfigMaps are read by name: there are many, and some have secrets in them.
KINDS = ("EgressRouter", "NetworkAttachmentDefinition", *WORKLOADS, "Service")


@dataclass(frozen=True)
class Workload:
    """What makes the pods of an old router."""

    source: Source
    metadata: Mapping[str, Any]
    spec: Mapping[str, Any]
    replicas: int
    # Whether the scheduler has chosen its node.
    scheduled: bool

    @property
    def annotations(self) -> Mapping[str, Any]:
        return self.metadata.get("annotations") or {}

    @property
    def labels(self) -> Mapping[str, Any]:
        return self.metadata.get("labels") or {}

    @property
    def containers(self) -> list[Mapping[str, Any]]:
        """Those that set up the network first."""
        return [*(self.spec.get("initContainers") or ()), *(self.spec.get("containers") or ())]


class Objects:
    """Objects by kind, namespace and name; of `namespaces` alone, if they are given. Those of our own routers are left out."""

    def __init__(self, documents: Iterable[Object], namespaces: Collection[str] | None = None) -> None:
        self._found: dict[Source, Object] = {}
        for item in flat(documents):
            source = source_of(item)
            ours = ((item.get("metadata") or {}).get("labels") or {}).get(names.LABEL_MANAGED_BY) == names.MANAGED_BY
            if not ours and (namespaces is None or source.namespace in namespaces):
                self._found[source] = item

    def of(self, kind: str) -> list[Object]:
        """All of a kind, by namespace and name."""
        sources = sorted((s for s in self._found if s.kind == kind), key=lambda s: (s.namespace, s.name))
        return [self._found[source] for source in sources]

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        return self._found.get(Source(kind, namespace, name))

    def has(self, source: Source) -> bool:
        return source in self._found

    def workloads(self) -> list[Workload]:
        """Those that nothing else here makes."""
        found = [item for kind in WORKLOADS for item in self.of(kind) if not self._is_made(item)]
        return [_workload(item) for item in found]

    def services_of(self, namespace: str) -> list[Object]:
        """The Services of a namespace that select pods."""
        services = (item for item in self.of("Service") if source_of(item).namespace == namespace)
        return [item for item in services if selector_of(item)]

    def _is_made(self, item: Object) -> bool:
        owners = item["metadata"].get("ownerReferences") or ()
        namespace = source_of(item).namespace
        return any(self.has(Source(owner.get("kind", ""), namespace, owner.get("name", ""))) for owner in owners)


def flat(documents: Iterable[Any]) -> Iterator[Object]:
    """The objects of documents, and those within lists."""
    for document in documents:
        kind = str(document.get("kind", ""))
        if kind.endswith("List") and "items" in document:
            inner = {"kind": kind.removesuffix("List")} if kind != "List" else {}
            yield from flat({**inner, **item} for item in document["items"] or ())
        # Other Services are none of Kubernetes.
        elif kind != "Service" or "/" not in str(document.get("apiVersion") or ""):
            yield document


def source_of(item: Object) -> Source:
    metadata = item.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    return Source(str(item.get("kind", "")), str(metadata.get("namespace") or ""), str(metadata.get("name") or ""))


def selector_of(service: Object) -> Mapping[str, str]:
    """The labels of the pods that a Service leads to."""
    found: Mapping[str, str] = (service.get("spec") or {}).get("selector") or {}
    return found


def _workload(item: Object) -> Workload:
    spec = item.get("spec") or {}
    pod = item["kind"] == "Pod"
    template = item if pod else spec.get("template") or {}
    replicas = spec.get("replicas")
    return Workload(
        source_of(item),
        template.get("metadata") or {},
        template.get("spec") or {},
        1 if pod or replicas is None else int(replicas),
        pod and "status" in item,
    )
