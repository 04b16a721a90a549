# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""An address that was allocated, as a ConfigMap: its creation is the lock. Pure.

Everything is in its labels and annotations. It has no owner: it must outlive its router, and stays until it is released.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from .._common.errors import InputError
from .._contract import names
from .._contract.rules import IPAddress

APP_NAME = "egress-router-address"
FIELD_MANAGER = "egress.router.address-pool"
# Not that of the routers' objects, which may be in the same namespace.
SELECTOR = f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY},{names.LABEL_NAME}={APP_NAME}"
_LABEL_POOL = names.ANNOTATION_PREFIX + "pool"
_LABEL_ROUTER = names.ANNOTATION_PREFIX + "router"
_LABEL_NAMESPACE = names.ANNOTATION_PREFIX + "router-namespace"
_ADDRESS = names.ANNOTATION_PREFIX + "address"
_ALLOCATED_AT = names.ANNOTATION_PREFIX + "allocated-at"
_RELEASED_AT = names.ANNOTATION_PREFIX + "released-at"
# Only of a router's second address of the pool, and further ones.
_NUMBER = names.ANNOTATION_PREFIX + "number"
_NOT_ALWAYS = (_RELEASED_AT, _NUMBER)
_PREFIX = "egress-address-"
_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Allocation:
    """An address with the router that it belongs to, or belonged to until `released_at`.

    `live`: the object as it was read; None if it is yet to be created. `number`: of the router's requests to the pool, from 1.
    """

    ip: IPAddress
    pool: str
    namespace: str
    router: str
    allocated_at: datetime
    released_at: datetime | None = None
    live: dict[str, Any] | None = None
    number: int = 1

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name of the router."""
        return self.namespace, self.router

    @property
    def router_id(self) -> str:
        """`NAMESPACE/NAME` of the router."""
        return f"{self.namespace}/{self.router}"

    @property
    def released(self) -> bool:
        return self.released_at is not None

    def rests_until(self, quarantine_seconds: int) -> datetime | None:
        """When it may be allocated to another router; None if it is not released."""
        return self.released_at and self.released_at + timedelta(seconds=quarantine_seconds)

    def given_to(self, namespace: str, router: str, pool: str, number: int, now: datetime) -> Allocation:
        """The same address, allocated now."""
        return replace(
            self, namespace=namespace, router=router, pool=pool, number=number, allocated_at=now, released_at=None
        )

    def manifest(self) -> dict[str, Any]:
        """What of the object is ours. Labels and annotations of others stay."""
        live = (self.live or {}).get("metadata") or {}
        annotations = {
            **{key: value for key, value in (live.get("annotations") or {}).items() if key not in _NOT_ALWAYS},
            _ADDRESS: str(self.ip),
            _ALLOCATED_AT: written(self.allocated_at),
            **({_RELEASED_AT: written(self.released_at)} if self.released_at else {}),
            **({_NUMBER: str(self.number)} if self.number > 1 else {}),
        }
        labels = {
            **(live.get("labels") or {}),
            names.LABEL_NAME: APP_NAME,
            names.LABEL_MANAGED_BY: names.MANAGED_BY,
            _LABEL_POOL: self.pool,
            _LABEL_ROUTER: self.router,
            _LABEL_NAMESPACE: self.namespace,
        }
        return {"metadata": {"name": object_name(self.ip), "labels": labels, "annotations": annotations}}

    def body(self) -> dict[str, Any]:
        """The whole object. Of one that is there, in the version that was read."""
        live = self.live or {}
        return {**live, "metadata": {**(live.get("metadata") or {}), **self.manifest()["metadata"]}}


def object_name(ip: IPAddress) -> str:
    """The ConfigMap of an address. An IPv6 address in full, because a name can neither have colons nor end with a hyphen."""
    return f"{_PREFIX}{ip if ip.version == 4 else ip.exploded.replace(':', '-')}"


def read_allocations(items: Iterable[dict[str, Any]]) -> list[Allocation]:
    """The allocations of objects with our labels; InputError with a sentence for each that somebody has edited."""
    found, problems = [], []
    for item in items:
        try:
            found.append(read_allocation(item))
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError("\n".join(problems))
    return found


def read_allocation(item: dict[str, Any]) -> Allocation:
    """The allocation of one object; InputError if it cannot be one, because somebody has edited it."""
    metadata = item["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    if labels.get(names.LABEL_NAME) != APP_NAME or labels.get(names.LABEL_MANAGED_BY) != names.MANAGED_BY:
        raise _edited(metadata, f"lacks the labels {SELECTOR.replace(',', ' and ')}")
    for label in (_LABEL_POOL, _LABEL_ROUTER, _LABEL_NAMESPACE):
        if not labels.get(label):
            raise _edited(metadata, f"lacks the label {label}")
    try:
        ip = ipaddress.ip_address(annotations.get(_ADDRESS) or "")
    except ValueError:
        raise _edited(metadata, f"has no address in the annotation {_ADDRESS}") from None
    if metadata["name"] != object_name(ip):
        raise _edited(metadata, f"has the address {ip} in the annotation {_ADDRESS}, whose object is {object_name(ip)}")
    times = {key: _time(metadata, annotations, key) for key in (_ALLOCATED_AT, _RELEASED_AT)}
    allocated_at = times[_ALLOCATED_AT]
    if allocated_at is None:
        raise _edited(metadata, f"has no time in the annotation {_ALLOCATED_AT}")
    return Allocation(
        ip,
        labels[_LABEL_POOL],
        labels[_LABEL_NAMESPACE],
        labels[_LABEL_ROUTER],
        allocated_at,
        times[_RELEASED_AT],
        item,
        _number(metadata, annotations),
    )


def written(time: datetime) -> str:
    """`2026-11-26T09:30:00Z`."""
    return time.astimezone(timezone.utc).strftime(_TIME)


def _time(metadata: dict[str, Any], annotations: dict[str, str], key: str) -> datetime | None:
    text = annotations.get(key)
    if text is None:
        return None
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=timezone.utc)
    except ValueError:
        raise _edited(
            metadata, f"has '{text}' in the annotation {key}, which is no time such as 2026-11-26T09:30:00Z"
        ) from None


def _number(metadata: dict[str, Any], annotations: dict[str, str]) -> int:
    text = annotations.get(_NUMBER, "1")
    if not (text.isascii() and text.isdigit() and int(text)):
        raise _edited(metadata, f"has '{text}' in the annotation {_NUMBER}, which is no number from 1")
    return int(text)


def _edited(metadata: dict[str, Any], what: str) -> InputError:
    name = f"ConfigMap {metadata['namespace']}/{metadata['name']}"
    return InputError(
        f"{name} {what}: somebody has edited it. Restore it, or delete it if no router has the address any more"
    )
