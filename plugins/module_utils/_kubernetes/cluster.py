# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The one file that talks to an API server. Only module.py beside it imports the Kubernetes client too.

Objects are plain dictionaries. Whatever goes wrong is raised as one of our own exceptions (_common/errors.py), with a
sentence that says what was tried and what to do. A Cluster may be used by several threads at once.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from .._common.errors import (
    ApiError,
    Conflict,
    Denied,
    EgressError,
    Forbidden,
    Immutable,
    NotFound,
    ServerError,
    Unreachable,
)
from .._egress_router_cr.operator import RESOURCE as EGRESS_ROUTER
from .._router.manifests import KIND, Kind
from .._router.openshift import CONSTRAINTS

try:
    from kubernetes.client.exceptions import ApiException
    from kubernetes.utils.quantity import parse_quantity
    from urllib3.exceptions import HTTPError, MaxRetryError
except ImportError:
    # AnsibleK8SModule reports the missing library; until then these are only names in except clauses.
    ApiException, HTTPError, MaxRetryError = (type(f"Missing{n}", (Exception,), {}) for n in range(3))

# What the collection deals with beside the objects of a router.
_OTHERS = (
    CONSTRAINTS,
    EGRESS_ROUTER,
    Kind("ClusterOperator", "config.openshift.io", "v1", "clusteroperators"),
    Kind("DeploymentConfig", "apps.openshift.io", "v1", "deploymentconfigs"),
    # Of Services with a selector, beside the EndpointSlices.
    Kind("Endpoints", "", "v1", "endpoints"),
    Kind("Event", "", "v1", "events"),
    Kind("Infrastructure", "config.openshift.io", "v1", "infrastructures"),
    Kind("Namespace", "", "v1", "namespaces"),
    Kind("Network", "config.openshift.io", "v1", "networks"),
    # It is a Network too, but for the operator.
    Kind("NetworkOperator", "operator.openshift.io", "v1", "networks"),
    Kind("NetworkPolicy", "networking.k8s.io", "v1", "networkpolicies"),
    Kind("Node", "", "v1", "nodes"),
    Kind("Pod", "", "v1", "pods"),
    Kind("PodSecurityPolicySubjectReview", "security.openshift.io", "v1", "podsecuritypolicysubjectreviews"),
    Kind("ReplicaSet", "apps", "v1", "replicasets"),
    Kind("ReplicationController", "", "v1", "replicationcontrollers"),
    Kind("ResourceQuota", "", "v1", "resourcequotas"),
    Kind("SelfSubjectAccessReview", "authorization.k8s.io", "v1", "selfsubjectaccessreviews"),
    Kind("SelfSubjectReview", "authentication.k8s.io", "v1", "selfsubjectreviews"),
    Kind("SelfSubjectRulesReview", "authorization.k8s.io", "v1", "selfsubjectrulesreviews"),
)
_KINDS = {kind.name: kind for kind in (*KIND.values(), *_OTHERS)}
# Forms of an answer that are smaller than the objects (https://kubernetes.io/docs/reference/using-api/api-concepts/).
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"
# (connect, read), in seconds. A tuple: some versions of the client ignore a single number.
_TIMEOUT = (5, 30)
# What may be done twice. Whoever replaces an object (PUT) has to look first whether it was done.
_REPEATABLE = ("GET", "PATCH", "DELETE")
# Seconds before the API server is asked again that has failed.
PAUSES = (0.2, 0.5, 1.0)
# How API servers say it: of fields in general, and of a Service's addresses.
_IMMUTABLE = re.compile("field is immutable|may not change once set|cannot change roleRef")
_FORBIDDEN = re.compile(r'User "(?P<user>[^"]+)" cannot (?P<verb>\S+) resource "(?P<resource>[^"]+)"')


class Cluster:
    """One API server, asked as one identity. `dry_run`: nothing is written, the server only says what it would do."""

    def __init__(self, client: Any, dry_run: bool = False) -> None:
        self._client = client
        self._counting = threading.Lock()
        self.dry_run = dry_run
        # How many requests it has made.
        self.requests = 0
        # Its clock, less ours.
        self._ahead = timedelta()

    def rehearsal(self) -> Cluster:
        """The same API server, which only says what it would do."""
        return Cluster(self._client, dry_run=True)

    def now(self) -> datetime:
        """The time by the API server's clock, as its last answer had it: the nodes' clocks are nearer to it than ours may be."""
        return datetime.now(timezone.utc) + self._ahead

    def request_value(self) -> str:
        """The value of an annotation that asks for something by being a new one.

        The time is for people. Alone it may be the same twice within a second, because that is all that is known of the clock.
        """
        return f"{self.now():%Y-%m-%dT%H:%M:%SZ} {uuid4()}"

    def find(
        self, kind: str, namespace: str | None = None, labels: str = "", fields: str = "", metadata_only: bool = False
    ) -> list[dict[str, Any]]:
        """All objects of a kind in a namespace, or in all (None), that have the labels and fields."""
        accept = _METADATA if metadata_only else ""
        answer = self._json("GET", kind, namespace, query=_selectors(labels, fields), accept=accept)
        # Lists leave out what is the same for each of their items.
        return [{"apiVersion": answer.get("apiVersion"), **item, "kind": kind} for item in answer.get("items") or []]

    def table(self, kind: str, fields: str = "") -> list[dict[str, Any]]:
        """All objects of a kind in all namespaces, as `kubectl get --output wide` has them: `metadata` and `cells` by column."""
        answer = self._json("GET", kind, None, query=_selectors("", fields), accept=_TABLE)
        columns = [column["name"] for column in answer.get("columnDefinitions") or ()]
        return [
            {"metadata": row["object"]["metadata"], "cells": dict(zip(columns, row["cells"], strict=True))}
            for row in answer.get("rows") or ()
        ]

    def serves(self, kind: str) -> bool:
        """Whether the API server knows a kind."""
        prefix, plural = _prefix(_KINDS[kind]), _KINDS[kind].plural
        with suppress(NotFound):
            answer = json.loads(self._request("GET", prefix, "get", f"API {prefix}"))
            return plural in [item["name"] for item in answer.get("resources") or ()]
        return False

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        """One object; NotFound if there is none."""
        return self._json("GET", kind, namespace, name)

    def create(self, kind: str, namespace: str | None, body: dict[str, Any], dry_run: bool = False) -> dict[str, Any]:
        """Creates an object and returns it as it is now. `dry_run`: the server only says whether it would."""
        body = {"apiVersion": _KINDS[kind].api_version, "kind": kind, **body}
        return self._json("POST", kind, namespace, body=body, query=[("dryRun", "All")] if dry_run else self._write())

    def replace(self, kind: str, body: dict[str, Any], manager: str) -> dict[str, Any]:
        """Replaces an object as `manager` if it is still in the version of `body`, else Conflict."""
        namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
        return self._json("PUT", kind, namespace, name, body, [("fieldManager", manager), *self._write()])

    def apply(
        self,
        kind: str,
        namespace: str,
        name: str,
        fields: dict[str, Any],
        manager: str,
        force: bool = False,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Server-side apply as `manager`; Conflict if somebody else owns one of the fields with another value.

        `force`: takes over such fields. `dry_run`: the server only says what it would do.
        """
        body = {"apiVersion": _KINDS[kind].api_version, "kind": kind, "metadata": {"name": name}, **fields}
        query = [("fieldManager", manager), ("force", str(force).lower())]
        query += [("dryRun", "All")] if dry_run else self._write()
        # A text, because older clients do not serialise for this content type.
        return self._json("PATCH", kind, namespace, name, json.dumps(body), query, "application/apply-patch+yaml")

    def merge(
        self, kind: str, namespace: str, name: str, fields: dict[str, Any], manager: str, strategic: bool = False
    ) -> dict[str, Any]:
        """Changes fields whoever owns them. `strategic`: by the rules of Kubernetes' own kinds, with directives such as $retainKeys."""
        query = [("fieldManager", manager), *self._write()]
        content_type = f"application/{'strategic-' if strategic else ''}merge-patch+json"
        return self._json("PATCH", kind, namespace, name, fields, query, content_type)

    def delete(
        self,
        kind: str,
        namespace: str | None,
        name: str,
        grace_seconds: int | None = None,
        uid: str = "",
        foreground: bool = False,
        dry_run: bool = False,
        version: str = "",
    ) -> None:
        """Deletes an object; nothing happens if it is not there.

        `uid`, `version`: Conflict if it is another object, or in another version, by now. `foreground`: it stays until what it
        owns is gone. `dry_run`: the server only says whether it would.
        """
        # All in the body: an API server that gets one does not look at the query.
        preconditions = {"uid": uid} if uid else {}
        preconditions |= {"resourceVersion": version} if version else {}
        options: dict[str, Any] = {"preconditions": preconditions} if preconditions else {}
        options |= {"gracePeriodSeconds": grace_seconds} if grace_seconds is not None else {}
        options |= {"propagationPolicy": "Foreground"} if foreground else {}
        options |= {"dryRun": ["All"]} if dry_run or self.dry_run else {}
        with suppress(NotFound):
            self._json("DELETE", kind, namespace, name, options or None)

    def evict(self, namespace: str, pod: str, uid: str = "") -> None:
        """Ends a pod as a drain does. Unreachable while its PodDisruptionBudget is against it, Conflict if it is another one."""
        options = {"preconditions": {"uid": uid}} if uid else {}
        metadata = {"name": pod, "namespace": namespace}
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata, "deleteOptions": options}
        self._text("POST", "Pod", namespace, pod, "/eviction", body=body, query=self._write())

    def logs(self, namespace: str, pod: str, lines: int | None = None, container: str = "") -> str:
        """What a pod's only container wrote, or `container`, or the end of it."""
        query: list[tuple[str, Any]] = [("tailLines", lines)] if lines is not None else []
        query += [("container", container)] if container else []
        return self._text("GET", "Pod", namespace, pod, "/log", query=query)

    def pod_http(self, namespace: str, pod: str, port: int, path: str) -> Any:
        """The JSON document that a pod serves, fetched by the API server."""
        answer = self._text("GET", "Pod", namespace, f"{pod}:{port}", f"/proxy/{path.lstrip('/')}")
        try:
            return json.loads(answer)
        except ValueError as error:
            raise ApiError(
                f"pod {namespace}/{pod} answered {path} with something else than JSON: {answer[:80]!r}"
            ) from error

    def _write(self) -> list[tuple[str, Any]]:
        return [("dryRun", "All")] if self.dry_run else []

    def _json(
        self,
        method: str,
        kind: str,
        namespace: str | None,
        name: str = "",
        body: Any = None,
        query: Iterable[tuple[str, Any]] = (),
        content_type: str = "application/json",
        accept: str = "",
    ) -> dict[str, Any]:
        text = self._text(
            method, kind, namespace, name, body=body, query=query, content_type=content_type, accept=accept
        )
        found: dict[str, Any] = json.loads(text)
        return found

    def _text(
        self,
        method: str,
        kind: str,
        namespace: str | None,
        name: str = "",
        below: str = "",
        body: Any = None,
        query: Iterable[tuple[str, Any]] = (),
        content_type: str = "application/json",
        accept: str = "",
    ) -> str:
        prefix, plural = _prefix(_KINDS[kind]), _KINDS[kind].plural
        path = prefix + (f"/namespaces/{quote(namespace)}" if namespace else "") + f"/{plural}"
        path += (f"/{quote(name, safe=':')}" if name else "") + below
        verbs = {"GET": "get" if name else "list", "POST": "create", "PUT": "update"}
        verb = {"eviction": "evict"}.get(below.strip("/"), verbs.get(method, method.lower()))
        many = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
        one = f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
        what = one if name else f"{many} of namespace {namespace}" if namespace else many
        return self._request(method, path, verb, what, namespace or "", body, query, content_type, accept)

    def _request(
        self,
        method: str,
        path: str,
        verb: str,
        what: str,
        namespace: str = "",
        body: Any = None,
        query: Iterable[tuple[str, Any]] = (),
        content_type: str = "application/json",
        accept: str = "",
    ) -> str:
        """`verb`, `what` and `namespace` are for messages."""

        def ask() -> Any:
            with self._counting:
                self.requests += 1
            return self._client.request(
                method,
                path,
                body=body,
                serialize=False,
                query_params=list(query),
                header_params={"Accept": accept} if accept else {},
                content_type=content_type,
                _request_timeout=_TIMEOUT,
            )

        with translated(verb, what, namespace, self._client.configuration.host):
            response = _persistently(ask) if method in _REPEATABLE else ask()
            self._read_clock(response)
            data: bytes = response.data
            return data.decode()

    def _read_clock(self, response: Any) -> None:
        # The client's own answer wraps that of urllib3.
        date = getattr(response, "urllib3_response", response).headers.get("Date")
        with suppress(TypeError, ValueError):
            self._ahead = parsedate_to_datetime(date) - datetime.now(timezone.utc)


def _persistently(ask: Callable[[], Any]) -> Any:
    """The answer of a server that fails (5xx) now and then."""
    for pause in PAUSES:
        try:
            return ask()
        except ApiException as error:
            if (error.status or 0) < 500:
                raise
        time.sleep(pause)
    return ask()


def quantity(text: Any) -> Decimal:
    """The number that a Kubernetes quantity stands for, such as `100m`, `96Mi` or 2; ValueError for anything else."""
    return Decimal(parse_quantity(text))


def _selectors(labels: str, fields: str) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in (("labelSelector", labels), ("fieldSelector", fields)) if value]


def _prefix(kind: Kind) -> str:
    return f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.version}"


@contextmanager
def translated(verb: str, what: str, namespace: str = "", host: str = "") -> Generator[None, None, None]:
    """Turns every exception of the libraries into one of ours."""
    try:
        yield
    except ApiException as error:
        status = _status(error)
        found = _api_error(error, status, verb, what, namespace, host)
        if isinstance(found, ApiError):
            found.said = status["message"]
        raise found from error
    except HTTPError as error:
        reason = error.reason if isinstance(error, MaxRetryError) and error.reason else error
        purpose = f" to {verb} {what}" if verb else ""
        raise Unreachable(f"cannot reach {_way(error, host)}{purpose}: {reason}") from error


def _way(error: Any, host: str) -> str:
    """The API server, and the proxy in front of it, without its password."""
    pool = getattr(error, "pool", None)
    proxy = getattr(pool, "proxy", None)
    if not host and pool is not None and (proxy is None or pool.host != proxy.host):
        host = f"{pool.scheme}://{pool.host}:{pool.port}"
    through = f" through the proxy {proxy.scheme}://{proxy.host}:{proxy.port}" if proxy is not None else ""
    return f"the API server at {host or 'the given address'}{through}"


def _status(error: Any) -> dict[str, Any]:
    """The Status that the API server answered with; its message is always there."""
    try:
        status = json.loads(error.body)
    except (TypeError, ValueError):
        status = {}
    said = " ".join(str(status.get("message") or error.reason or error).split())
    return {**status, "message": said}


def _api_error(error: Any, status: dict[str, Any], verb: str, what: str, namespace: str, host: str) -> EgressError:
    said = status["message"]
    if error.status == 401:
        purpose = f" to {verb} {what}" if verb else ""
        return Forbidden(
            f"the API server at {host or 'the given address'} does not accept the credentials{purpose}: renew the token or certificate"
        )
    if error.status == 403:
        match = _FORBIDDEN.search(said)
        if not match:
            return Denied(f"cannot {verb} {what}: {said}")
        where = f"in namespace {namespace}" if namespace else "in all namespaces"
        allowed = f"{match['user']} may not {match['verb']} {match['resource']} {where}"
        return Forbidden(f"{allowed}: grant it with a Role and a RoleBinding")
    if error.status == 404:
        kind = (status.get("details") or {}).get("kind") or ""
        if kind == "namespaces":
            return NotFound(f"cannot {verb} {what}: namespace {namespace} does not exist, create it first", kind)
        return NotFound(f"{what} does not exist", kind)
    if error.status == 422 and _IMMUTABLE.search(said):
        return Immutable(f"cannot {verb} {what}: {said}")
    if error.status == 409:
        return Conflict(f"cannot {verb} {what}: {said}")
    if error.status == 500:
        return ServerError(f"cannot {verb} {what}: {said}")
    if error.status == 429 or error.status > 500:
        # Busy, starting or behind a proxy that cannot reach it: whoever waits asks again.
        return Unreachable(f"cannot {verb} {what}: {said}")
    return ApiError(f"cannot {verb} {what}: {said}")
