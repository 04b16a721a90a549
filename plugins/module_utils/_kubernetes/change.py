# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What the module router is asked for, and what it changes of one object, whatever makes the router's pod."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .._common.concurrent import each
from .._common.errors import EgressError, Unreachable
from .._common.plan import Plan
from .._common.yaml_text import to_yaml

Item = TypeVar("Item")
Result = TypeVar("Result")

# Requests at once. The Kubernetes client keeps that many connections open on a machine with two cores, any other is made for
# one request, and its TLS handshake costs more than the request.
CONNECTIONS = 10
# Stands for the uid of an owner that does not exist yet, in dry runs and differences.
NO_UID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Options:
    """`wait`: for present routers to serve. The pods of removed ones are always waited for.

    `borrowed`: uids of Services that are still those of old routers, by namespace and name of the router that gets them. They are
    left alone: a cut-over moves them.
    """

    create_namespaces: bool = False
    force_conflicts: bool = False
    wait: bool = True
    wait_seconds: float = 120
    borrowed: Mapping[tuple[str, str], str] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """The fields of an object that are ours, before and after; None: there is no object."""

    title: str
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return self.before != self.after

    def plan(self) -> Plan:
        """For people. Writing YAML takes longer than a request, so it is done only for those who look."""
        return Plan(self.title, _lines(self.before), _lines(self.after))


def new_namespace(name: str) -> Change:
    """A namespace that is to be created."""
    return Change(f"Namespace {name}", None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


def do_all(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """The results of `function` for each item, at once; EgressError with all that went wrong, each said once."""
    return succeeded(try_all(function, items))


def try_all(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result | EgressError]:
    """The result of `function` for each item, at once, or what went wrong."""

    def one(item: Item) -> Result | EgressError:
        try:
            return function(item)
        except EgressError as error:
            return error

    return each(one, items, CONNECTIONS)


def errors(found: Iterable[Result | EgressError]) -> list[EgressError]:
    return [result for result in found if isinstance(result, EgressError)]


def succeeded(found: list[Result | EgressError]) -> list[Result]:
    wrong = errors(found)
    if wrong:
        away = [error for error in wrong if isinstance(error, Unreachable)]
        # Whoever cannot be reached says it once, not for every object.
        said = away[:1] or wrong
        raise EgressError("\n".join(dict.fromkeys(str(error) for error in said)))
    return [result for result in found if not isinstance(result, EgressError)]


def _lines(item: dict[str, Any] | None) -> tuple[str, ...]:
    return tuple(to_yaml(item).replace(NO_UID, "uid of the new owner").splitlines()) if item else ()
