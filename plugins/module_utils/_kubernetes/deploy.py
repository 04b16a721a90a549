# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The backend agent: creates, changes and removes the objects of many routers at once.

What is there is read by label, in as many requests as there are kinds and namespaces. An object whose fields are in force
already takes no further request; the API server says by a dry run what becomes of each other one. New objects that differ in
names and addresses alone share one. Only when all dry runs have passed, something is written. Fields of others are left
alone, by server-side apply.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeAlias

from .._common.errors import (
    ApiError,
    Conflict,
    Denied,
    EgressError,
    Forbidden,
    Immutable,
    InputError,
    NotFound,
)
from .._contract import names
from .._contract.rules import RuleSet
from .._egress_router_cr.operator import APP_NAME as OPERATORS
from .._router.manifests import KIND, KINDS, MONITOR, SECRET, Manifest, manifests, owned_by, peers_secret
from .._router.openshift import CONSTRAINTS
from .._router.router import Router
from . import constraints, namespaces, peers, sources
from .change import NO_UID, Change, Options, do_all, errors, new_namespace, succeeded, try_all
from .cluster import Cluster
from .managed_fields import LABELS, Tree, extract, in_force, owned_fields, union
from .redirect_rules import make_config_map
from .removal import wait_for_removal
from .router_info import Facts, wait_for_serving
from .selection import router_of
from .service_ports import Ports

MANAGER = names.FIELD_MANAGER_DEPLOY

# Kind, namespace and name.
Id: TypeAlias = "tuple[str, str, str]"

_IDENTITY_OF_CONSTRAINTS = {"apiVersion": CONSTRAINTS.api_version, "kind": CONSTRAINTS.name}


@dataclass
class Step:
    """What becomes of one object. `live`: as it is, None if there is none. `manifest`: None if it is removed."""

    router: Router
    id: Id
    live: dict[str, Any] | None
    manifest: Manifest | None
    change: Change
    # As it is after it was written.
    result: dict[str, Any] | None = None
    done: bool = False

    @property
    def kind(self) -> str:
        return self.id[0]

    @property
    def title(self) -> str:
        return _title(self.id)


@dataclass
class Outcome:
    """What was or would be done."""

    routers: list[Router]
    steps: list[Step] = field(default_factory=list)
    namespaces: list[Change] = field(default_factory=list)
    constraints: list[Change] = field(default_factory=list)
    # As the routers reported at the end, if they were waited for.
    facts: list[Facts] = field(default_factory=list)

    @property
    def changes(self) -> list[Change]:
        """What changes, in the order in which it is done."""
        return [*self.namespaces, *self.constraints, *(step.change for step in self.steps if step.change.changed)]

    def describe(self, router: Router) -> dict[str, Any]:
        """What the module router returns of one router."""
        objects = [
            {"kind": step.kind, "name": step.id[2], "change": _verb(step)}
            for step in self.steps
            if step.router.key == router.key and step.change.changed
        ]
        return {
            "name": router.name,
            "namespace": router.namespace,
            "state": router.state,
            "changed": bool(objects),
            "objects": objects,
            "rules_live": self._rules_live(router),
        }

    def _rules_live(self, router: Router) -> bool:
        """Whether the agent has loaded the rules of the ConfigMap as it is, they are the router's, and so are the Service's ports."""
        objects = {
            step.kind: step.live or {}
            for step in self.steps
            if step.router.key == router.key and not step.change.changed
        }
        facts = next((facts for facts in self.facts if (facts.namespace, facts.name) == router.key), None)
        if facts is None or not {"ConfigMap", "Service"} <= set(objects):
            return False
        status = facts.status
        loaded = status.rules_hash == router.rules.hash() and not status.rules_error
        current = status.rules_version == objects["ConfigMap"]["metadata"]["resourceVersion"]
        ports = Ports(objects["Service"])
        return loaded and current and ports.present == ports.wanted(router.rules)


class AgentRun:
    """One call, for the routers with this backend. They are made what the list says."""

    def __init__(self, cluster: Cluster, routers: list[Router], options: Options) -> None:
        self.cluster = cluster
        self.routers = routers
        self.options = options
        self.outcome = Outcome(routers)
        self.created: list[str] = []
        self.removable: set[tuple[str, str]] = set()
        self.missing: list[str] = []

    @property
    def changes(self) -> list[Change]:
        """What changes, in the order in which it is done."""
        return self.outcome.changes

    @property
    def warnings(self) -> list[str]:
        """What is not as it was asked for, although the routers serve."""
        return [warning for facts in self.outcome.facts if (warning := facts.warning())]

    def describe(self, router: Router) -> dict[str, Any]:
        """What the module router returns of one router."""
        return self.outcome.describe(router)

    def plan(self) -> None:
        """Finds out what is to be done. An error with all problems, if the API server would not do something."""
        self.routers = constraints.adapted(self.cluster, self.routers)
        live = self._read()
        self._keep_sources(live)
        self.missing = self._missing_namespaces(live)
        steps = [step for router in self.routers for step in _steps(router, live, self.options.borrowed)]
        steps.sort(key=lambda step: _order(step.kind))
        self.outcome.namespaces = [new_namespace(name) for name in self.missing]
        self.outcome.constraints = self._constraints()
        self._predict([step for step in steps if step.id[1] not in self.missing], self.missing)
        self.outcome.steps = steps
        for step in self._later() if self.cluster.dry_run else ():
            step.change = _planned(step, step.manifest)

    def remove(self) -> None:
        """An agent waits until its address is free, so whatever goes may go at the end, in `apply`."""

    def apply(self) -> None:
        """Does what was planned, and waits."""
        steps = self.outcome.steps
        self._create(self.missing)
        self._create_constraints()
        self._predict(self._later(), [])
        doubtful = self._doubtful()
        self._apply([step for step in steps if step.manifest and (step.change.changed or step in doubtful)])
        self._remove([step for step in steps if not step.manifest])
        self._wait()

    def stop(self) -> tuple[list[str], list[str]]:
        """After an error: what was done and what was not, which is no change."""
        outcome = self.outcome
        outcome.namespaces = [change for change in outcome.namespaces if change.title in self.created]
        outcome.constraints = [change for change in outcome.constraints if change.title in self.created]
        changes = [step for step in outcome.steps if step.change.changed]
        done = [*self.created, *(step.title for step in changes if step.done)]
        open_ = [step.title for step in changes if not step.done]
        for step in changes:
            if not step.done:
                step.change = Change(step.title)
        return done, open_

    def _later(self) -> list[Step]:
        """What can be asked for only when its namespace exists."""
        return [step for step in self.outcome.steps if step.id[1] in self.missing]

    def _doubtful(self) -> list[Step]:
        """Secrets that are there before their owner: of a router that was just removed, with which they go, or somebody's own."""
        new = [step.router.key for step in self.outcome.steps if step.kind == "ServiceAccount" and not step.live]
        return [step for step in self.outcome.steps if step.kind == SECRET.name and step.router.key in new]

    def _read(self) -> dict[Id, dict[str, Any]]:
        """The objects of all routers in the routers' namespaces."""
        spaces = list(dict.fromkeys(router.namespace for router in self.routers))
        absent = {router.namespace for router in self.routers} - {r.namespace for r in self.routers if r.present}

        def find(call: tuple[str, str]) -> list[dict[str, Any]]:
            kind, space = call
            try:
                # Of a ConfigMap only the metadata are of interest here, and its rules may be long.
                return self.cluster.find(kind, space, labels=names.SELECTOR, metadata_only=kind == "ConfigMap")
            except (NotFound, Forbidden) as error:
                if kind == MONITOR.name and space not in monitored:
                    return []  # Nobody here wants one, so nobody needs what it takes.
                if isinstance(error, Forbidden):
                    raise
                if space in absent:
                    return []  # What the cluster does not know needs no removal.
                raise _unknown_kind(kind) from error

        monitored = {router.namespace for router in self.routers if router.present and router.monitoring}
        calls = [(kind.name, space) for kind in (*KINDS, MONITOR) for space in spaces]
        found = do_all(find, calls)
        return {
            (kind, space, item["metadata"]["name"]): item
            for (kind, space), items in zip(calls, found, strict=True)
            for item in items
        }

    def _keep_sources(self, live: dict[Id, dict[str, Any]]) -> None:
        """InputError if rules on the cluster leave from addresses that are to go: new pods would refuse all rules."""
        present = [router for router in self.routers if router.present]
        found = do_all(lambda one: sources.in_the_way(self.cluster, one, live.get(("Deployment", *one.key))), present)
        if any(found):
            raise InputError("\n".join(filter(None, found)))

    def _missing_namespaces(self, live: dict[Id, dict[str, Any]]) -> list[str]:
        """Namespaces of present routers that do not exist. Where there are objects, there is a namespace."""
        known = {namespace for _kind, namespace, _name in live}
        asked = list(dict.fromkeys(r.namespace for r in self.routers if r.present and r.namespace not in known))
        return namespaces.missing(self.cluster, asked)

    def _predict(self, steps: list[Step], missing: list[str]) -> None:
        """Plans every step. InputError with all problems, if the API server would not do something."""

        def one(step: Step) -> None:
            try:
                self._plan(step)
            except ApiError as error:
                raise _advised(error, step) from error

        alike = {step.id: step for step in self._alike(steps)}
        calls: list[Callable[[], None]] = [
            partial(namespaces.predict, self.cluster, name, self.options) for name in missing
        ]
        calls += [partial(one, step) for step in steps if step.id not in alike]
        found = try_all(lambda call: call(), calls)
        if errors(found):
            # What one is refused for, others are too, and each is told.
            others: list[Callable[[], None]] = [partial(one, step) for step in alike.values()]
            found += try_all(lambda call: call(), others)
        succeeded(found)
        for step in alike.values():
            step.change = _new(step)

    def _alike(self, steps: list[Step]) -> list[Step]:
        """New objects of which the dry run of another one says whether they can be."""
        first: dict[tuple[str, ...], Step] = {}
        # Of Secrets nobody knows whether they are new.
        new = [step for step in steps if step.manifest and not step.live and step.kind != SECRET.name]
        others = [step for step in new if first.setdefault(_shape(step), step) is not step]
        # Names alone, of objects without our labels too.
        calls = list(dict.fromkeys(step.id[:2] for step in others))
        found = do_all(lambda call: self.cluster.find(*call, metadata_only=True), calls)
        taken = {(*call, item["metadata"]["name"]) for call, items in zip(calls, found, strict=True) for item in items}
        return [step for step in others if step.id not in taken]

    def _plan(self, step: Step) -> None:
        manifest = step.manifest
        if manifest is None:
            step.change = _planned(step, None)
            # Whether it may be removed is the same for all of a kind in a namespace.
            if step.id[:2] not in self.removable:
                self.removable.add(step.id[:2])
                self.cluster.delete(*step.id, dry_run=True)
            return
        if step.kind == SECRET.name:
            if peers.is_missing(self.cluster, manifest):
                step.change = _new(step)
            return
        if step.live is not None and router_of(step.live) != step.router.key:
            raise _foreign(step)
        if step.live is not None and in_force(manifest, step.live, MANAGER):
            return
        if step.kind == "ConfigMap" and step.live is not None and "f:data" in owned_fields(step.live, MANAGER):
            # Somebody has applied rules in this module's name: without them in the manifest, they would be removed.
            step.live = self.cluster.get(*step.id)
            step.manifest = manifest = {**manifest, "data": step.live["data"]}
        try:
            after = self._apply_one(step, manifest, dry_run=True)
        except NotFound as error:
            # Who may not bind every Role is let bind one that exists. The answer is about the binding, not the Role.
            if step.kind == "RoleBinding" and error.kind == KIND["RoleBinding"].plural and step.live is None:
                after = manifest
            else:
                raise
        if step.kind == "Service" and (after["spec"].get("clusterIP") == "None") is not step.router.service.headless:
            # The API server keeps the old value instead of refusing the new one.
            raise Immutable("service.headless has changed")
        if step.live is None and after["metadata"].get("resourceVersion"):
            # It is there without the labels. Ours, if somebody took them away; else it is not for us to change.
            step.live = self.cluster.get(*step.id)
            if not owned_fields(step.live, MANAGER) or _of_operator(step):
                raise _foreign(step)
        step.change = _planned(step, after) if step.live else _new(step)

    def _apply_one(self, step: Step, manifest: Manifest, dry_run: bool = False) -> dict[str, Any]:
        return self.cluster.apply(*step.id, manifest, MANAGER, self.options.force_conflicts, dry_run)

    def _create(self, missing: list[str]) -> None:
        for name in missing:
            namespaces.create(self.cluster, name)
            self.created.append(f"Namespace {name}")

    def _constraints(self) -> list[Change]:
        """The SecurityContextConstraints of OpenShift that have to be made or changed."""
        found = []
        for name in constraints.used(self.routers):
            prediction = constraints.predict(self.cluster, name, self.options.force_conflicts)
            if prediction:
                live, after = prediction
                owned = union(owned_fields(live, MANAGER) if live else {}, owned_fields(after, MANAGER))
                shown = (item and extract({**item, **_IDENTITY_OF_CONSTRAINTS}, owned) for item in (live, after))
                found.append(Change(f"{CONSTRAINTS.name} {name}", *shown))
        return [change for change in found if change.changed]

    def _create_constraints(self) -> None:
        for change in self.outcome.constraints:
            name = (change.after or {})["metadata"]["name"]
            constraints.apply(self.cluster, name, self.options.force_conflicts)
            self.created.append(change.title)

    def _apply(self, steps: list[Step]) -> None:
        """Wave by wave, each when the one before is whole."""
        owners = {(step.kind, step.router.id): step for step in self.outcome.steps if step.manifest}

        def uid(kind: str, router: Router) -> str:
            owner = owners[kind, router.id]
            return str((owner.result or owner.live or {})["metadata"]["uid"])

        def one(step: Step) -> None:
            manifest: Manifest = step.manifest or {}
            if step.kind == "EndpointSlice" and ("Service", step.router.id) in owners:
                manifest = owned_by(manifest, uid("Service", step.router))
            try:
                if step.kind == SECRET.name:
                    secret = peers_secret(step.router, uid("ServiceAccount", step.router))
                    patience = 0 if step.change.changed else peers.GARBAGE_SECONDS
                    if peers.create(self.cluster, secret, patience) and not step.change.changed:
                        step.change = _new(step)
                    step.done = True
                    return
                if step.kind == "ConfigMap" and step.live is None and step.router.rules.lines():
                    # As redirect_rules writes them: they never belong to this module's manager.
                    make_config_map(self.cluster, *step.router.key, step.router.rules.text())
                step.result = self._apply_one(step, manifest)
            except ApiError as error:
                raise _advised(error, step) from error
            step.done = True

        for wave in sorted({kind.wave for kind in KIND.values()}):
            do_all(one, [step for step in steps if KIND[step.kind].wave == wave])

    def _remove(self, steps: list[Step]) -> None:
        """First the pods, while their agents may still give the address back, then what they need."""
        first = [step for step in steps if step.kind == "Deployment"]

        def one(step: Step) -> None:
            uid = (step.live or {})["metadata"].get("uid") or ""
            # A conflict: it is another object by now, which nobody asked to remove.
            with suppress(Conflict):
                # In the foreground: the Deployment stays until its pods are gone, and their addresses with them.
                self.cluster.delete(*step.id, uid=uid, foreground=step in first)
            step.done = True

        do_all(one, first)
        absent = {step.router.key for step in self.outcome.steps if not step.router.present}
        wait_for_removal(self.cluster, absent, self.options.wait_seconds)
        do_all(one, [step for step in steps if step not in first])

    def _wait(self) -> None:
        present = [router.key for router in self.routers if router.present]
        if self.options.wait and present:
            spaces = list(dict.fromkeys(namespace for namespace, _name in present))
            self.outcome.facts = wait_for_serving(
                self.cluster, present, spaces, self.options.wait_seconds, standbys=True
            )


def _steps(router: Router, live: dict[Id, dict[str, Any]], borrowed: Mapping[tuple[str, str], str]) -> Iterable[Step]:
    """What is to be done for a router, still without a plan: apply what it is made of, remove what else it has."""
    wanted: dict[Id, Manifest] = {}
    if router.present:
        service = live.get(("Service", router.namespace, router.service.name))
        uid = borrowed.get(router.key) or (service or {"metadata": {}})["metadata"].get("uid") or NO_UID
        wanted = {
            (m["kind"], router.namespace, m["metadata"]["name"]): m
            for m in manifests(router, uid)
            if m["kind"] != "Service" or router.key not in borrowed
        }
    if router.present and router.has_standbys:
        account = live.get(("ServiceAccount", *router.key)) or {"metadata": {}}
        secret = peers_secret(router, account["metadata"].get("uid") or NO_UID)
        wanted[SECRET.name, router.namespace, secret["metadata"]["name"]] = secret
    for id_, manifest in wanted.items():
        yield Step(router, id_, live.get(id_), manifest, Change(_title(id_)))
    for id_, item in live.items():
        if router_of(item) == router.key and id_ not in wanted:
            yield Step(router, id_, item, None, Change(_title(id_)))


def _planned(step: Step, after: dict[str, Any] | None) -> Change:
    """The fields that are ours, before and after. `after`: None removes the object."""
    owned = owned_fields(step.live, MANAGER) if step.live else {}
    if after is None:
        return Change(step.title, _shown(step, step.live, owned or LABELS))
    owned = union(owned, owned_fields(after, MANAGER))
    return Change(step.title, _shown(step, step.live, owned), _shown(step, after, owned))


def _new(step: Step) -> Change:
    return Change(step.title, None, _whole(step, step.manifest or {}))


def _shape(step: Step) -> tuple[str, ...]:
    """The same for objects of which the API server takes all or none: their routers differ in names, addresses and rules alone."""
    router = step.router
    rest = replace(router, name="", mac="", addresses=(), rules=RuleSet(), service=replace(router.service, name=""))
    return (*step.id[:2], (step.manifest or {}).get("addressType", ""), repr((router.families, rest)))


def _whole(step: Step, item: dict[str, Any]) -> dict[str, Any]:
    # Items of a list do not say what they are.
    metadata = {"namespace": step.id[1], **item["metadata"]}
    return {**item, "apiVersion": KIND[step.kind].api_version, "kind": step.kind, "metadata": metadata}


def _shown(step: Step, item: dict[str, Any] | None, owned: Tree) -> dict[str, Any] | None:
    return item and extract(_whole(step, item), owned)


def _title(id_: Id) -> str:
    kind, namespace, name = id_
    return f"{kind} {namespace}/{name}"


def _order(kind: str) -> int:
    return list(KIND).index(kind)


def _verb(step: Step) -> str:
    if step.manifest is None:
        return "removed"
    return "modified" if step.live else "created"


def _foreign(step: Step) -> InputError:
    if _of_operator(step):
        return InputError(
            f"router {step.router.id}: {step.title} is there, it has been created with backend egress_router_cr: run once with "
            "that backend and state: absent, then create it with this one"
        )
    return InputError(
        f"router {step.router.id}: {step.title} exists already and does not belong to this router: remove it, or give the "
        "router or its service another name"
    )


def _of_operator(step: Step) -> bool:
    """Whether the object was made for a router with the other backend, by the same field manager."""
    labels = (step.live or {"metadata": {}})["metadata"].get("labels") or {}
    return bool(labels.get(names.LABEL_NAME) == OPERATORS)


def _unknown_kind(kind: str) -> NotFound:
    advice = "install Multus CNI, which brings it"
    if kind == MONITOR.name:
        advice = "install the Prometheus Operator, which brings it, or set monitoring to false"
    return NotFound(f"the API server does not know the kind {kind}: {advice}")


def _advised(error: ApiError, step: Step) -> EgressError:
    """The error with its router and with what to do about it."""
    if isinstance(error, Forbidden) and not isinstance(error, Denied):
        return error  # It says all, and the same of each router.
    if isinstance(error, NotFound):
        return error if error.kind else _unknown_kind(step.kind)
    said = f"router {step.router.id}: {error}"
    if isinstance(error, Conflict):
        return Conflict(
            f"{said}: another field manager owns these fields, set force_conflicts (of the role: deploy_force_conflicts) to "
            "true to take them over"
        )
    if isinstance(error, Immutable):
        return Immutable(f"{said}: this field cannot change, delete {step.title} and run again")
    return ApiError(said)
