# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Changes the redirect rules of many routers at once, and restores the previous rules where they do not become live.

For each router: ports that are no longer needed are removed from the Service, the ConfigMap is replaced if nobody else has
written it since it was read (compare-and-swap by resourceVersion), the agent's report is awaited, new ports are added.
So a port is open only while its rule is live. Whatever ends a run after it has written takes its rules back in the same way,
and however a run ends, the Service has the ports of the rules that are in the ConfigMap.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any

from .._common.concurrent import each, wait_until
from .._common.errors import Conflict, EgressError, InputError, NotFound, NotReady, Unreachable
from .._common.plan import Plan
from .._contract import names
from .._contract.config_map import rules_text
from .._contract.rules import RulesError, RuleSet, parse, too_many
from .._contract.status import CONFLICT, FAILED, Status
from .._router.backend import AGENT, BACKENDS, Backend
from .._router.fields import Fields
from .._router.manifests import selector
from .._router.problems import Problems
from .._router.redirects import PortKey, read_port_keys, read_rule_set, refuse_reserved
from . import sources
from .cluster import Cluster
from .router_info import lease_is_over
from .selection import Key, find_all, router_of
from .service_ports import Ports

# How often merged and deleted start over when somebody else has written in between.
ATTEMPTS = 5
# Seconds before a write is tried again that the API server neither did nor refused.
PAUSES = (0.3, 1.0, 2.0)
# How long the agent has to confirm the previous rules after they were restored.
ROLLBACK_SECONDS = 5.0


@dataclass(frozen=True)
class Request:
    """The change of one router. `all`: everything is deleted (state deleted without rules).

    `after_deploy`: the router has been deployed before in this run, in a dry run as if.
    """

    namespace: str
    name: str
    state: str
    rules: RuleSet = field(default_factory=RuleSet)
    ports: frozenset[PortKey] = frozenset()
    fallback_ip: str = ""
    all: bool = False
    backend: str = AGENT
    after_deploy: bool = False

    @property
    def key(self) -> Key:
        return self.namespace, self.name

    @property
    def id(self) -> str:
        return f"{self.namespace}/{self.name}"

    def after(self, before: RuleSet) -> RuleSet:
        """The rules afterwards, given those before."""
        if self.state == "replaced":
            return self.rules
        if self.state == "merged":
            return before.merged(self.rules)
        if self.all:
            return RuleSet()
        kept = tuple(rule for rule in before.rules if (rule.port, rule.protocol) not in self.ports)
        return RuleSet(kept, "" if before.fallback_ip == self.fallback_ip else before.fallback_ip)


@dataclass
class Outcome:
    """The result of one router's request."""

    request: Request
    plan: Plan
    hash: str = ""
    seconds: float | None = None
    error: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.request.name,
            "namespace": self.request.namespace,
            "changed": self.plan.changed,
            "before": list(self.plan.before),
            "after": list(self.plan.after),
            "hash": self.hash,
            "seconds": self.seconds,
            "error": self.error,
        }


def read_requests(routers: list[dict[str, Any]], state: str, after_deploy: bool = False) -> list[Request]:
    """The requests of the module's options; InputError with every problem of all of them."""
    requests: list[Request] = []
    problems = []
    for router in routers:
        found = Problems(f"{router['namespace']}/{router['name']}")
        fields = Fields(router, found)
        backend = BACKENDS[router.get("backend") or AGENT]
        if router.get("text") is not None:
            given = _read_text(router["text"], state, found, backend)
        elif state == "deleted":
            ports, fallback = read_port_keys(fields, backend.reserved)
            # An empty list names no rule; leaving it out names all, as in modules for network devices.
            nothing_named = router.get("redirect_rules") is None and not fallback
            given = {"ports": frozenset(ports), "fallback_ip": fallback, "all": nothing_named}
        else:
            given = {"rules": read_rule_set(fields, backend.reserved)}
        request = Request(
            router["namespace"], router["name"], state, **given, backend=backend.name, after_deploy=after_deploy
        )
        backend.refuse_rules(found.add, request.rules)
        if request.key in [other.key for other in requests]:
            found.add("", "is in the list twice: put its rules into one item")
        requests.append(request)
        problems += found.found
    if problems:
        raise InputError("\n".join(str(problem) for problem in problems))
    return requests


def _read_text(text: str, state: str, found: Problems, backend: Backend) -> dict[str, Any]:
    try:
        rules = parse(text)
    except RulesError as error:
        for message in error.problems:
            found.add("text", message)
        return {}
    if state == "deleted":
        ports = frozenset((rule.port, rule.protocol) for rule in rules.rules)
        return {"ports": ports, "fallback_ip": rules.fallback_ip}
    refuse_reserved(rules, backend.reserved, found)
    return {"rules": rules}


def change(cluster: Cluster, requests: list[Request], wait_seconds: float | None) -> list[Outcome]:
    """Does all requests at once. Errors are in the outcomes. `wait_seconds` None: does not wait for the agents."""
    where = list(dict.fromkeys(request.namespace for request in requests))
    objects = find_all(cluster, ("ConfigMap", "Service"), where)
    texts = {(item["metadata"]["namespace"], item["metadata"]["name"]): item for item in objects["ConfigMap"]}
    services = {router_of(item): item for item in objects["Service"]}

    def one(request: Request) -> Outcome:
        found = texts.get((request.namespace, names.rules_config_map(request.name)))
        return _Change(cluster, request, Ports(services.get(request.key)), wait_seconds).run(found)

    return each(one, requests)


def summary(outcomes: list[Outcome]) -> str:
    """What failed, and the state of the other routers. Empty if nothing failed."""
    failed = [outcome for outcome in outcomes if outcome.error]
    if not failed:
        return ""
    lines = [f"router {outcome.request.id}: {outcome.error}" for outcome in failed]
    for word, wanted in (("changed and live", True), ("unchanged", False)):
        others = [o.request.id for o in outcomes if not o.error and o.plan.changed is wanted]
        if others:
            lines.append(f"{word}: {', '.join(others)}")
    return "\n".join(lines)


class _Change:
    """One router's change."""

    def __init__(self, cluster: Cluster, request: Request, ports: Ports, wait_seconds: float | None) -> None:
        self.cluster = cluster
        self.request = request
        self.ports = ports
        self.ports_before = ports.present
        self.wait_seconds = wait_seconds
        self.started = time.monotonic()
        # What this run has written, or tried to.
        self.written: str | None = None
        # The ConfigMap that the plan is of, and as it is now; None: there is none, or nobody knows.
        self.previous: dict[str, Any] | None = None
        self.standing: dict[str, Any] | None = None

    def run(self, config_map: dict[str, Any] | None) -> Outcome:
        outcome = Outcome(self.request, Plan(self.request.id, (), ()))
        errors = []
        try:
            self._run(config_map, outcome)
        except EgressError as error:
            errors.append(str(error))
        finally:
            # However it ended.
            try:
                self._follow()
            except EgressError as error:
                errors += [str(error)] if str(error) not in "".join(errors) else []
        if errors:
            outcome.error = ". ".join(errors)
            self._tell_what_changed(outcome)
        return outcome

    def _run(self, config_map: dict[str, Any] | None, outcome: Outcome) -> None:
        for attempt in count(1):
            config_map = config_map or self._read()
            self.previous = self.standing = config_map
            before, after = self._plan(config_map, outcome)
            if config_map is None and not self._lost:
                return
            if config_map is not None and before == after:
                self._confirm(config_map, after, outcome)
                self._follow()
                return
            self.ports.set(self.cluster, self.ports_before & self.ports.wanted(after))
            self.written = after.text()
            try:
                self.standing = self._write_surely(config_map, self.written)
                break
            except Conflict as error:
                config_map = self._after_conflict(after, attempt, error)
        try:
            self._finish(after, outcome)
        except BaseException as error:
            # Whatever it is: rules that are not confirmed, or whose ports are missing, do not stay.
            done = "" if self.cluster.dry_run else self._roll_back()
            if isinstance(error, Exception) and done:
                raise NotReady(f"{error}. {done}") from error
            raise

    def _finish(self, after: RuleSet, outcome: Outcome) -> None:
        """What comes after the write."""
        if self.wait_seconds is not None and not self.cluster.dry_run:
            reason = self._wait(after, _resource_version(self.standing), self.wait_seconds)
            if reason:
                raise NotReady(reason)
            outcome.seconds = round(time.monotonic() - self.started, 3)
        self._follow()

    def _follow(self) -> None:
        """Gives the Service the ports of the rules that are in the ConfigMap.

        Another run may have written rules and ports in between, and this has removed its ports: so the ports of the newest
        rules are set until nobody has written in between.
        """
        try:
            while self.standing and self.ports.set(self.cluster, self._ports_of(self.standing)):
                if self.cluster.dry_run:
                    return
                version, self.standing = _resource_version(self.standing), self._read() or self.standing
                if _resource_version(self.standing) == version:
                    return
        except EgressError as error:
            raise EgressError(f"the ports of its Service could not be changed: {error}") from error

    def _ports_of(self, config_map: dict[str, Any]) -> frozenset[PortKey]:
        try:
            return self.ports.wanted(parse(rules_text(config_map)))
        except RulesError:
            # The agent keeps what it has, and so does the Service.
            return self.ports_before if config_map is self.previous else self.ports.present

    def _tell_what_changed(self, outcome: Outcome) -> None:
        """Makes the plan of a run that failed what was done."""
        plan = outcome.plan
        after = plan.after
        if self.written is None or (self.standing is not None and _text(self.standing) != self.written):
            after = plan.before
            outcome.hash = _hash(self.previous)
        lost, new = self.ports_before - self.ports.present, self.ports.present - self.ports_before
        if after == plan.before:
            plan = Plan(plan.title, plan.before + _port_lines(lost), plan.before + _port_lines(new))
        outcome.plan = plan

    def _plan(self, config_map: dict[str, Any] | None, outcome: Outcome) -> tuple[RuleSet | None, RuleSet]:
        """The rules before (None: they cannot be read) and after. Both are noted in `outcome`."""
        try:
            found = parse(rules_text(config_map or {}))
            # Where the ConfigMap is lost, the agent goes on with what it has.
            before: RuleSet | None = found if config_map else None
            lines = found.lines()
        except RulesError as error:
            if self.request.state != "replaced" and not self.request.all:
                raise EgressError(
                    f"its current rules cannot be read, so nothing can be {self.request.state}: {error}. "
                    f"Correct ConfigMap {self._name} or use state replaced"
                ) from error
            before, lines = None, _text(config_map).splitlines()
        after = self.request.after(before or RuleSet())
        for problem in too_many(len(after.rules)):
            raise InputError(problem)
        # Of a router that would have been deployed just now, the list alone says which addresses it has.
        if before != after and not (self.request.after_deploy and self.cluster.dry_run):
            refused = sources.missing(self.cluster, *self.request.key, after)
            if refused:
                raise InputError("; ".join(refused))
        shown_before, shown_after = tuple(lines), tuple(after.lines())
        if before == after:
            # The ports of the Service may still differ.
            shown_before += _port_lines(self.ports.present - self.ports.wanted(after))
            shown_after += _port_lines(self.ports.wanted(after) - self.ports.present)
        outcome.plan = Plan(f"rules of {self.request.id}", shown_before, shown_after)
        outcome.hash = after.hash()
        return before, after

    @property
    def _name(self) -> str:
        return f"{self.request.namespace}/{names.rules_config_map(self.request.name)}"

    def _read(self) -> dict[str, Any] | None:
        """The ConfigMap; None if there is none and that is no error."""
        try:
            return self.cluster.get("ConfigMap", self.request.namespace, names.rules_config_map(self.request.name))
        except NotFound as error:
            # In a dry run the role deploy would have created it. Without it there is nothing to delete either.
            if self.cluster.dry_run or self.request.state == "deleted" or self._lost:
                return None
            raise NotFound(f"{error}: deploy the router first") from error

    @property
    def _lost(self) -> bool:
        """Whether a ConfigMap that is not there is made anew: the router is there, and its rules are known."""
        return self.ports.known and self.request.state == "replaced"

    def _write(self, config_map: dict[str, Any], text: str | None) -> dict[str, Any]:
        """Compare-and-swap: Conflict if the ConfigMap has changed since this version."""
        data = dict(config_map.get("data") or {})
        binary = dict(config_map.get("binaryData") or {})
        data.pop(names.RULES_KEY, None)
        if text is not None:
            data[names.RULES_KEY] = text
            binary.pop(names.RULES_KEY, None)
        body = {**config_map, "data": data, **({"binaryData": binary} if "binaryData" in config_map else {})}
        return self.cluster.replace("ConfigMap", body, names.FIELD_MANAGER_RULES)

    def _write_surely(self, config_map: dict[str, Any] | None, text: str | None) -> dict[str, Any]:
        """Writes again after an answer that says neither yes nor no, if the ConfigMap says no."""
        if config_map is None:
            return make_config_map(self.cluster, self.request.namespace, self.request.name, text or "")
        pauses = iter(PAUSES)
        while True:
            try:
                return self._write(config_map, text)
            except Unreachable as error:
                now = self._look_again(error)
                if _resource_version(now) != _resource_version(config_map):
                    if _text(now) == (text or ""):
                        return now
                    raise Conflict(str(error)) from error
                pause = next(pauses, None)
                if pause is None:
                    raise
                time.sleep(pause)

    def _look_again(self, error: Unreachable) -> dict[str, Any]:
        try:
            return self._read() or {}
        except EgressError:
            self.standing = None
            raise Unreachable(f"{error}. Whether ConfigMap {self._name} was changed is not known: run again") from error

    def _after_conflict(self, after: RuleSet, attempt: int, error: Conflict) -> dict[str, Any] | None:
        """The ConfigMap as it is now, to start over with; raises where starting over would hide the conflict."""
        now = self.standing = self._read()
        try:
            # Another run wrote the same rules, or our own write was repeated because its answer was lost.
            same = parse(rules_text(now or {})) == after
        except RulesError:
            same = False
        if attempt < ATTEMPTS and (same or self.request.state != "replaced"):
            return now
        raise Conflict(
            f"its rules were changed by somebody else between read and write. These were not written: run again ({error})"
        ) from error

    def _confirm(self, config_map: dict[str, Any], rules: RuleSet, outcome: Outcome) -> None:
        """Waits for rules that were there before: the agent may have refused them, or it may be down."""
        if self.wait_seconds is None or self.cluster.dry_run:
            return
        reason = self._wait(rules, config_map["metadata"]["resourceVersion"], self.wait_seconds)
        if reason:
            raise NotReady(f"{reason}. The rules were in ConfigMap {self._name} before, they are left there")
        outcome.seconds = round(time.monotonic() - self.started, 3)

    def _wait(self, rules: RuleSet, version: str, seconds: float) -> str:
        """Waits until the agent reports `rules`, read back from the kernel. Returns why they are not live, or ""."""
        wanted = rules.hash()
        lease: dict[str, Any] = {}

        def check() -> str | None:
            nonlocal lease
            lease = self._lease()
            status = Status.from_lease(lease)
            if status.serving and status.rules_hash == wanted and not lease_is_over(lease, self.cluster.now()):
                return ""
            if status.rules_version == version and status.rules_error:
                return f"its agent refused the rules: {status.rules_error}"
            return None

        reason = wait_until(check, seconds)
        return _silence(lease, seconds, self.cluster.now()) if reason is None else reason

    def _lease(self) -> dict[str, Any]:
        try:
            return self.cluster.get("Lease", self.request.namespace, self.request.name)
        except NotFound:
            return {}

    def _roll_back(self) -> str:
        """Restores the previous rules and says what the state is now."""
        previous = self.previous or {}
        try:
            if not previous:
                metadata = (self.standing or {})["metadata"]
                self.cluster.delete("ConfigMap", metadata["namespace"], metadata["name"], uid=metadata["uid"])
                self.standing = self.written = None
                self.ports.set(self.cluster, self.ports_before)
                return f"ConfigMap {self._name}, which was not there before, is removed again"
            text = (previous.get("data") or {}).get(names.RULES_KEY)
            version = {"metadata": (self.standing or {})["metadata"]}
            self.standing = self._write_surely({**previous, **version}, text)
        except Conflict:
            with suppress(EgressError):
                self.standing = self._read()
            return f"The previous rules were not restored: somebody else has changed ConfigMap {self._name} since"
        except EgressError as error:
            return f"The previous rules could not be restored: {error}"
        with suppress(EgressError):  # At the end it is tried again, and told.
            self._follow()
        try:
            rules = parse(rules_text(previous))
        except RulesError:
            return f"The previous text is restored in ConfigMap {self._name}, it cannot be read either"
        with suppress(Exception):  # It may be what has ended the run.
            if not self._wait(rules, _resource_version(self.standing), ROLLBACK_SECONDS):
                return f"The previous rules are restored in ConfigMap {self._name} and live"
        return f"The previous rules are restored in ConfigMap {self._name}, the agent has not confirmed them"


def make_config_map(cluster: Cluster, namespace: str, router: str, text: str) -> dict[str, Any]:
    """A ConfigMap that has its rules from the beginning: of an empty one the agent would take that there are none.

    The labels are those that never change: of others the module router would not be the only owner.
    """
    name = names.rules_config_map(router)
    body = {"metadata": {"name": name, "labels": selector(router)}, "data": {names.RULES_KEY: text}}
    return cluster.apply("ConfigMap", namespace, name, body, names.FIELD_MANAGER_RULES)


def _text(config_map: dict[str, Any] | None) -> str:
    return str(((config_map or {}).get("data") or {}).get(names.RULES_KEY, ""))


def _resource_version(config_map: dict[str, Any] | None) -> str:
    return str(((config_map or {}).get("metadata") or {}).get("resourceVersion", ""))


def _hash(config_map: dict[str, Any] | None) -> str:
    try:
        return parse(rules_text(config_map or {})).hash()
    except RulesError:
        return ""


def _port_lines(ports: frozenset[PortKey]) -> tuple[str, ...]:
    return tuple(f"service port {port}/{protocol}" for port, protocol in sorted(ports))


def _silence(lease: dict[str, Any], seconds: float, now: datetime) -> str:
    status = Status.from_lease(lease)
    if not status.state:
        known = "none of its pods has reported yet"
    elif status.state in (CONFLICT, FAILED):
        known = f"pod {status.pod} cannot serve: {status.error}"
    elif lease_is_over(lease, now):
        known = f"pod {status.pod} has not renewed its lease, its node or its network may be down"
    elif status.serving:
        count = status.rules_count or "0"
        known = f"pod {status.pod} is still serving the previous {count} rule{'' if count == '1' else 's'}"
    else:
        known = f"pod {status.pod} is {status.state}"
    return f"its agent did not confirm the rules within {seconds:g} s: {known}"
