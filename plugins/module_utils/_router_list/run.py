# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Reads a list of routers that is kept on a cluster, and changes it. Every router is an object of its own.

An object is replaced in the version that was read, or created: if somebody else was faster, everything is read and thought over again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._common.errors import Conflict, EgressError, InputError
from .._kubernetes import namespaces
from .._kubernetes.change import Change, Options, new_namespace
from .._kubernetes.cluster import Cluster
from .entry import FIELD_MANAGER, SELECTOR, Entry, read_entry
from .plan import Key, Step, Wish, steps, whole

ATTEMPTS = 5


class Run:
    """One call of the module router_list. `writer` is a rehearsal in check mode."""

    def __init__(self, reader: Cluster, writer: Cluster, namespace: str, wish: Wish, create_namespace: bool) -> None:
        self._reader, self._writer, self._namespace, self._wish = reader, writer, namespace, wish
        self._options = Options(create_namespaces=create_namespace)
        self._entries: dict[Key, Entry] = {}
        self._created: list[str] = []
        self._done: dict[Key, Step] = {}
        self.warnings: list[str] = []
        self.error = ""

    def run(self) -> None:
        """Plans, then writes. EgressError if nothing can be done; `error` says how far it came."""
        try:
            for attempt in range(ATTEMPTS):
                try:
                    self._attempt()
                except Conflict:
                    if attempt == ATTEMPTS - 1:
                        raise
                else:
                    return
        except EgressError as error:
            if not self._done:
                raise
            done = ", ".join("/".join(key) for key in self._done)
            self.error = f"{error}\nchanged in the list before that: {done}. The next run goes on from there"

    def as_dict(self, with_diff: bool) -> dict[str, Any]:
        """The result of the module."""
        changes = [*map(new_namespace, self._created), *(self._change(step) for step in self._done.values())]
        return {
            "changed": bool(changes),
            **({"diff": [one.plan().diff() for one in changes]} if with_diff else {}),
            "routers": whole(self._wish.fixed, self._entries.values()),
            "absent": [
                {"name": name, "namespace": namespace}
                for (namespace, name), entry in sorted(self._entries.items())
                if entry.absent
            ],
            "requests": self._reader.requests + (self._writer.requests if self._writer is not self._reader else 0),
        }

    def _attempt(self) -> None:
        self._entries = self._read()
        planned, self.warnings = steps(self._entries, self._wish)
        if any(step.before is None for step in planned):
            self._create_namespace()
        for step in planned:
            self._write(step)

    def _read(self) -> dict[Key, Entry]:
        found, problems = {}, []
        for item in self._reader.find("ConfigMap", self._namespace, labels=SELECTOR):
            try:
                entry = read_entry(item)
            except InputError as error:
                problems.append(str(error))
            else:
                found[entry.key] = entry
        if problems:
            raise InputError("\n".join(problems))
        return found

    def _create_namespace(self) -> None:
        for name in namespaces.missing(self._reader, [self._namespace]):
            namespaces.predict(self._reader, name, self._options)
            if not self._writer.dry_run:
                namespaces.create(self._writer, name)
            if name not in self._created:
                self._created.append(name)

    def _write(self, step: Step) -> None:
        before, after = step.before, step.after
        key = (after or before or Entry({})).key
        if after is None:
            metadata: Mapping[str, Any] = ((before and before.live) or {})["metadata"]
            self._writer.delete(
                "ConfigMap",
                self._namespace,
                metadata["name"],
                uid=metadata["uid"],
                version=metadata["resourceVersion"],
            )
            del self._entries[key]
        else:
            if before is not None:
                self._writer.replace("ConfigMap", after.body(), FIELD_MANAGER)
            elif not (self._created and self._writer.dry_run):
                self._writer.create("ConfigMap", self._namespace, after.body())
            self._entries[key] = after
        first = self._done[key].before if key in self._done else before
        self._done[key] = Step(first, after)

    def _change(self, step: Step) -> Change:
        before, after = (_shown(entry, self._namespace) if entry else None for entry in (step.before, step.after))
        name = (step.after or step.before or Entry({})).object_name
        return Change(f"ConfigMap {self._namespace}/{name}", before, after)


def _shown(entry: Entry, namespace: str) -> dict[str, Any]:
    manifest = entry.manifest()
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        **manifest,
        "metadata": {**manifest["metadata"], "namespace": namespace},
    }
