# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Reads the objects that former egress routers are made of. Nothing is changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from .._common.concurrent import each
from .._common.errors import Forbidden, NotFound
from .cluster import Cluster


def find(
    cluster: Cluster, kinds: Iterable[str], namespaces: Sequence[str] | None
) -> tuple[list[dict[str, Any]], list[str]]:
    """All objects of the kinds, in some namespaces or everywhere (None), and why others could not be read.

    A cluster that does not know a kind has none of it.
    """
    where: list[str | None] = [None] if namespaces is None else list(dict.fromkeys(namespaces))
    calls = [(kind, namespace) for kind in kinds for namespace in where]

    def ask(call: tuple[str, str | None]) -> list[dict[str, Any]] | str:
        with suppress(NotFound):
            try:
                return cluster.find(*call)
            except Forbidden as error:
                # An API server refuses what somebody may not read before it looks whether there is such a kind.
                return str(error) if cluster.serves(call[0]) else []
        return []

    return _sorted_out(each(ask, calls))


def config_maps(cluster: Cluster, wanted: Iterable[tuple[str, str]]) -> tuple[list[dict[str, Any]], list[str]]:
    """The ConfigMaps of these namespaces and names, where they exist, and why others could not be read."""

    def ask(key: tuple[str, str]) -> list[dict[str, Any]] | str:
        with suppress(NotFound):
            try:
                return [{**cluster.get("ConfigMap", *key), "kind": "ConfigMap"}]
            except Forbidden as error:
                return str(error)
        return []

    return _sorted_out(each(ask, wanted))


def _sorted_out(answers: Iterable[list[dict[str, Any]] | str]) -> tuple[list[dict[str, Any]], list[str]]:
    found: list[dict[str, Any]] = []
    reasons: dict[str, None] = {}
    for answer in answers:
        if isinstance(answer, str):
            reasons[answer] = None
        else:
            found += answer
    return found, list(reasons)
