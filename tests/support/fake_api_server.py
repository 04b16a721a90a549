# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fake Kubernetes API server and a fake router agent, for tests of the modules.

It does what the modules use, over HTTP: lists with selectors, resourceVersion conflicts, dry runs, server-side apply,
namespaces, some defaults and immutable fields, pod logs and pod proxy. Molecule runs the same modules on a real API server.
"""

from __future__ import annotations

import copy
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ansible_collections.egress.router.plugins.module_utils._contract import names
from ansible_collections.egress.router.plugins.module_utils._contract.rules import RulesError, RuleSet, parse
from ansible_collections.egress.router.plugins.module_utils._contract.status import SERVING, Status

from .server_side_apply import ApplyConflict, applied, updated

Key = tuple[str, str, str]
LEASE_SECONDS = 600
# What a fault answers instead of the server: status and message, or None for the server's own answer.
Fault = Callable[[str, str], "tuple[int, str] | None"]


class ApiError(Exception):
    def __init__(self, status: int, message: str, **details: Any) -> None:
        super().__init__(message)
        self.status, self.message, self.details = status, message, details


class FakeCluster:
    """The objects, by (plural, namespace, name). Tests read and change `objects` directly."""

    def __init__(self) -> None:
        self.objects: dict[Key, dict[str, Any]] = {}
        self.logs: dict[str, str] = {}
        self.pages: dict[str, Any] = {}
        self.missing_namespaces: set[str] = set()
        # Plural names of kinds that the API server does not know.
        self.missing_kinds: set[str] = set()
        self.writes: list[str] = []
        self.requests: list[str] = []
        # Paths of API groups that are asked for, and the resources in them.
        self.apis: dict[str, list[str]] = {}
        # What the reviews of rights answer: the rules, whether they are all, and the answer to a single question.
        self.rules: list[dict[str, Any]] = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
        self.rules_incomplete = False
        self.access: Callable[[dict[str, Any]], bool] = lambda attributes: True
        # The status of OpenShift's reviews of pods, by namespace and pod template.
        self.admission: Callable[[str, dict[str, Any]], dict[str, Any]] = lambda namespace, template: {}
        # Whether a Service keeps its cluster IP when it is not asked for any more, as on a real API server.
        self.keeps_cluster_ip = False
        # Whether the identity may bind Roles that do not exist: the cluster's administrator may.
        self.may_bind_unseen = True
        # Whether the feature gate UserNamespacesSupport is on.
        self.user_namespaces = True
        # Names of Deployments whose pods do not end.
        self.lingering: set[str] = set()
        self.fault: Fault = lambda method, path: None
        # Called after each write that is not a dry run: the agents live here.
        self.watchers: list[Callable[[str, dict[str, Any]], None]] = []
        # Seconds by which the clocks of the cluster are ahead of the test's.
        self.ahead = 0.0
        self._version = 100
        self._lock = threading.RLock()

    def add(self, plural: str, namespace: str, name: str, **content: Any) -> dict[str, Any]:
        """Puts an object there, as if somebody else had made it."""
        metadata = {"name": name, "namespace": namespace, **content.pop("metadata", {})}
        item = {"metadata": metadata, **content}
        return self._store((plural, namespace, name), item)

    def handle(self, method: str, url: str, body: Any, accept: str = "") -> Any:
        parts = urlsplit(url)
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        with self._lock:
            self.requests.append(f"{method} {url}")
            fault = self.fault(method, parts.path)
            if fault:
                raise ApiError(*fault)
            return _in_form(self._handle(method, parts.path, query, body), accept)

    def _handle(self, method: str, path: str, query: dict[str, str], body: Any) -> Any:
        if path in self.apis:
            return {"kind": "APIResourceList", "resources": [{"name": name} for name in self.apis[path]]}
        if path.rsplit("/", 1)[-1].startswith("selfsubject"):
            return self._review(path.rsplit("/", 1)[-1], body.get("spec") or {})
        if path == "/version":
            return {"kind": "Version", "major": "1", "minor": "34"}
        if path in ("/api", "/apis"):
            return {"kind": "APIVersions", "versions": [], "groups": []}
        # Behind /api/VERSION or /apis/GROUP/VERSION.
        of_cluster = ["", *path.split("/")[3 if path.startswith("/api/") else 4 :]]
        words = path.split("/namespaces/", 1)[-1].split("/") if "/namespaces/" in path else of_cluster
        if len(words) == 1:  # One namespace itself.
            words = ["", "namespaces", *words]
        namespace, plural = words[:2]
        if plural in self.missing_kinds:
            raise ApiError(404, "the server could not find the requested resource")
        name, below = "".join(words[2:3]), "/".join(words[3:])
        if below == "log":
            return self.logs[f"{name}/{query['container']}" if "container" in query else name]
        if below.startswith("proxy"):
            return self.pages[f"{namespace}/{name}{below.removeprefix('proxy')}"]
        if below == "eviction":
            return self._delete((plural, namespace, name), body.get("deleteOptions") or {})
        if method == "GET" and not name:
            return {"kind": "List", "apiVersion": "v1", "items": self._list(plural, namespace, query)}
        if method in ("POST", "PATCH") and namespace in self.missing_namespaces:
            raise ApiError(404, f'namespaces "{namespace}" not found', kind="namespaces", name=namespace)
        if plural == "podsecuritypolicysubjectreviews":
            return {"status": self.admission(namespace, body["spec"]["template"])}
        if method == "POST":
            name = body["metadata"].get("name") or f"{body['metadata']['generateName']}{self._version}"
            if (plural, namespace, name) in self.objects:
                raise ApiError(409, f'{plural} "{name}" already exists')
            return self._write(method, (plural, namespace, name), body, query)
        key = (plural, namespace, name)
        if method == "PATCH":
            role = ("roles", namespace, ((body.get("roleRef") or {}).get("name")) or "")
            if plural == "rolebindings" and not self.may_bind_unseen and role not in self.objects:
                raise ApiError(404, f'{plural} "{name}" not found', kind=plural, name=name)
            version = (body.get("metadata") or {}).get("resourceVersion")
            if version and version != self.objects[key]["metadata"]["resourceVersion"]:
                raise ApiError(409, f'Operation cannot be fulfilled on {plural} "{name}": the object has been modified')
            if "force" not in query:
                return self._write(
                    method,
                    key,
                    updated(self.objects[key], _merged(self.objects[key], body), query["fieldManager"]),
                    query,
                )
            try:
                item = applied(self.objects.get(key), body, query["fieldManager"], query["force"] == "true")
            except ApplyConflict as conflict:
                raise ApiError(409, str(conflict)) from conflict
            return self._write(method, key, item, query)
        if (plural == "namespaces" and name in self.missing_namespaces) or key not in self.objects:
            if plural == "namespaces" and method == "GET" and name not in self.missing_namespaces:
                return {"metadata": {"name": name}}
            raise ApiError(404, f'{plural} "{name}" not found', kind=plural, name=name)
        if method == "GET":
            return self.objects[key]
        if method == "DELETE":
            # As the real one, it looks at the query only if there is no body.
            return self._delete(key, body or {"dryRun": query.get("dryRun")})
        if body["metadata"].get("resourceVersion") != self.objects[key]["metadata"]["resourceVersion"]:
            raise ApiError(409, f'Operation cannot be fulfilled on {plural} "{name}": the object has been modified')
        return self._write(method, key, updated(self.objects[key], body, query["fieldManager"]), query)

    def _delete(self, key: Key, options: dict[str, Any]) -> dict[str, Any]:
        plural, _namespace, name = key
        item = self.objects[key]
        for field, name_of in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
            wanted = (options.get("preconditions") or {}).get(field)
            if wanted and wanted != item["metadata"][field]:
                raise ApiError(409, f"Precondition failed: {name_of} in precondition: {wanted}")
        if options.get("dryRun"):
            self.writes.append(f"dry run DELETE {plural}/{name}")
            return item
        self.writes.append(f"DELETE {plural}/{name}")
        if plural == "namespaces":
            self.objects = {other: one for other, one in self.objects.items() if other == key or other[1] != name}
        if options.get("propagationPolicy") == "Foreground" and name in self.lingering:
            item["metadata"]["deletionTimestamp"] = "2026-11-23T00:00:00Z"
            return item
        if options.get("propagationPolicy") == "Foreground":
            pods = [other for other in self.objects if other[0] == "pods" and other[2].startswith(f"{name}-")]
            for pod in pods:
                del self.objects[pod]
        # As the garbage collector does for owners that are gone.
        owned = [other for other, one in self.objects.items() if item["metadata"]["uid"] in _owners(one)]
        for other in owned:
            del self.objects[other]
        return self.objects.pop(key)

    def _review(self, plural: str, spec: dict[str, Any]) -> dict[str, Any]:
        if plural == "selfsubjectreviews":
            return {"status": {"userInfo": {"username": "jane"}}}
        if plural == "selfsubjectaccessreviews":
            return {"status": {"allowed": self.access(spec["resourceAttributes"])}}
        return {"status": {"resourceRules": self.rules, "incomplete": self.rules_incomplete}}

    def _write(self, method: str, key: Key, item: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
        item = copy.deepcopy(item)
        item["metadata"].update(namespace=key[1], name=key[2])
        before = self.objects.get(key)
        if self.keeps_cluster_ip and before and key[0] == "services":
            item["spec"].setdefault("clusterIP", before["spec"]["clusterIP"])
        _check(key[0], before, item)
        set_defaults(key[0], item)
        if key[0] == "pods" and not self.user_namespaces:
            item["spec"].pop("hostUsers", None)
        if query.get("dryRun") == "All":
            self.writes.append(f"dry run {method} {key[0]}/{key[2]}")
            return item
        # As the API server does, a write that changes nothing leaves the version.
        if before is None or _content(before) != _content(item):
            self.writes.append(f"{method} {key[0]}/{key[2]}")
            if key[0] == "namespaces":
                self.missing_namespaces.discard(key[2])
            item = self._store(key, item)
        stored = copy.deepcopy(item)
        for watcher in self.watchers:
            watcher(key[0], stored)
        return stored

    def _store(self, key: Key, item: dict[str, Any]) -> dict[str, Any]:
        self._version += 1
        item["metadata"]["resourceVersion"] = str(self._version)
        item["metadata"].setdefault("uid", f"uid-{self._version}")
        self.objects[key] = item
        return item

    def _list(self, plural: str, namespace: str, query: dict[str, str]) -> list[dict[str, Any]]:
        labels = dict(pair.split("=") for pair in query.get("labelSelector", "").split(",") if pair)
        terms = [pair for pair in query.get("fieldSelector", "").split(",") if pair]
        fields = dict(pair.split("=") for pair in terms if "!=" not in pair)
        others = [pair.split("!=") for pair in terms if "!=" in pair]
        found = []
        for (kind, where, _name), item in self.objects.items():
            own = item["metadata"].get("labels") or {}
            here = kind == plural and namespace in ("", where)
            wanted = labels.items() <= own.items() and all(_field(item, path) == fields[path] for path in fields)
            wanted = wanted and all(_field(item, path) != value for path, value in others)
            if here and wanted:
                found.append(item)
        return found


class FakeAgent:
    """What a router's agent does to its Lease when its ConfigMap changes.

    `mood`: `obey`, `silent`, or the reason for which it refuses everything new.
    """

    def __init__(self, cluster: FakeCluster, namespace: str, name: str, mood: str = "obey") -> None:
        self.cluster, self.namespace, self.name, self.mood = cluster, namespace, name, mood
        self.live = RuleSet()
        cluster.watchers.append(self._seen)

    def _seen(self, plural: str, item: dict[str, Any]) -> None:
        metadata = item["metadata"]
        mine = (self.namespace, names.rules_config_map(self.name))
        if plural == "configmaps" and (metadata["namespace"], metadata["name"]) == mine:
            self.take(item)

    def take(self, config_map: dict[str, Any]) -> None:
        """Takes or refuses the rules, as it is minded."""
        version, error = config_map["metadata"]["resourceVersion"], ""
        if self.mood == "silent":
            return
        try:
            wanted = parse((config_map.get("data") or {}).get(names.RULES_KEY, ""))
            # It refuses what is new, never what it has.
            if self.mood == "obey" or wanted == self.live:
                self.live = wanted
            else:
                error = self.mood
        except RulesError as problem:
            error = str(problem)
        self.report(rules_version=version, rules_error=error)

    def report(self, **fields: str) -> None:
        """Writes the Lease."""
        status = {
            "state": SERVING,
            "pod": f"{self.name}-abc",
            "node": "worker-1",
            "addresses": "198.51.100.50/24",
            "mac": "02:e6:c6:33:64:32",
            "rules_hash": self.live.hash(),
            "rules_count": str(len(self.live.rules)),
            **fields,
        }
        lease = self.cluster.objects[("leases", self.namespace, self.name)]
        lease["metadata"].setdefault("annotations", {}).update(Status(**status).annotations())
        clock = datetime.now(timezone.utc) + timedelta(seconds=self.cluster.ahead)
        now = clock.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        # Nobody renews it, however long the test takes on a busy machine.
        lease["spec"] = {"holderIdentity": status["pod"], "leaseDurationSeconds": LEASE_SECONDS, "renewTime": now}


def add_router(
    cluster: FakeCluster, namespace: str, name: str, rules: str = "", mood: str = "obey", headless: bool = False
) -> FakeAgent:
    """A deployed router with these rules, live, and its agent."""
    labels = {
        names.LABEL_NAME: names.APP_NAME,
        names.LABEL_INSTANCE: name,
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
    }
    metadata = {"labels": labels}
    data = {"data": {names.RULES_KEY: rules}} if rules else {}
    config_map = cluster.add("configmaps", namespace, names.rules_config_map(name), metadata=dict(metadata), **data)
    own = [{"name": names.AGENT_PORT_NAME, "port": names.AGENT_PORT, "protocol": "TCP"}]
    service: dict[str, Any] = {
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"clusterIP": "None" if headless else "10.96.0.10", "ports": []},
    }
    service = applied(service, {"metadata": {}, "spec": {"ports": own}}, names.FIELD_MANAGER_DEPLOY, False)
    found = parse(rules)
    if found.rules and not headless:
        ports = [
            {"name": names.port_name(r.protocol, r.port), "port": r.port, "protocol": r.protocol, "targetPort": r.port}
            for r in found.rules
        ]
        service = applied(service, {"metadata": {}, "spec": {"ports": ports}}, names.FIELD_MANAGER_RULES, False)
    cluster.add("services", namespace, name, metadata=service["metadata"], spec=service["spec"])
    cluster.add("leases", namespace, name, metadata=dict(metadata), spec={})
    cluster.add(
        "deployments", namespace, name, metadata={"labels": labels, "generation": 1}, spec={"replicas": 1},
        status={"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1},
    )  # fmt: skip
    cluster.add(
        "pods", namespace, f"{name}-abc", metadata=dict(metadata), spec={"nodeName": "worker-1"},
        status={"phase": "Running", "podIPs": [{"ip": "10.244.1.17"}]},
    )  # fmt: skip
    agent = FakeAgent(cluster, namespace, name)
    agent.take(config_map)
    agent.mood = mood
    return agent


@contextmanager
def serving(cluster: FakeCluster) -> Iterator[str]:
    """Serves the cluster; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Without it each answer waits for the client's delayed acknowledgement (40 ms).
        disable_nagle_algorithm = True

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            try:
                status, answer = 200, cluster.handle(self.command, self.path, body, self.headers.get("Accept", ""))
            except ApiError as error:
                status = error.status
                answer = {"kind": "Status", "code": status, "message": error.message, "details": error.details}
            data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

        def date_time_string(self, timestamp: float | None = None) -> str:
            """The header Date."""
            return super().date_time_string((time.time() if timestamp is None else timestamp) + cluster.ahead)

        def log_message(self, *args: object) -> None:
            """Says nothing."""

    class Server(ThreadingHTTPServer):
        # The modules ask many things at once; the default of 5 refuses some of them when the machine is busy.
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _owners(item: dict[str, Any]) -> list[str]:
    return [owner.get("uid", "") for owner in item["metadata"].get("ownerReferences") or ()]


def _merged(item: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    found = dict(item) if isinstance(item, dict) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = _merged(found.get(key), value)
    return found


def _content(item: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in item["metadata"].items() if key not in ("resourceVersion", "uid")}
    return {**item, "metadata": metadata}


def _check(plural: str, before: dict[str, Any] | None, item: dict[str, Any]) -> None:
    """The immutable fields that tests change."""
    if before is None:
        return
    name = item["metadata"]["name"]
    if plural == "services" and (before["spec"].get("clusterIP") == "None") != (
        item["spec"].get("clusterIP") == "None"
    ):
        raise ApiError(422, f'Service "{name}" is invalid: spec.clusterIPs[0]: Invalid value: may not change once set')
    if plural == "deployments" and (before["spec"].get("selector") != item["spec"].get("selector")):
        raise ApiError(422, f'Deployment.apps "{name}" is invalid: spec.selector: Invalid value: field is immutable')


def set_defaults(plural: str, item: dict[str, Any]) -> None:
    """Some of what the API server adds, so that objects are never what was sent."""
    if plural == "services":
        item["spec"].setdefault("clusterIP", "10.96.0.10")
        item["spec"].setdefault("sessionAffinity", "None")
        for port in item["spec"].get("ports") or ():
            port.setdefault("targetPort", port["port"])
    if plural == "deployments":
        item["spec"].setdefault("revisionHistoryLimit", 10)
        for container in item["spec"].get("template", {}).get("spec", {}).get("containers") or ():
            container.setdefault("imagePullPolicy", "IfNotPresent")
            container.setdefault("terminationMessagePath", "/dev/termination-log")


def _in_form(answer: Any, accept: str) -> Any:
    """A list in the form that was asked for: a table of pods or nodes, or metadata alone."""
    items = answer.get("items") if isinstance(answer, dict) else None
    if items is None or "as=" not in accept:
        return answer
    objects = [{"metadata": item["metadata"]} for item in items]
    if "as=PartialObjectMetadataList" in accept:
        return {"kind": "PartialObjectMetadataList", "items": objects}
    cells = [
        [
            item["metadata"]["name"],
            (item.get("status") or {}).get("podIP", "<none>"),
            item["spec"].get("nodeName", "<none>"),
            # Of nodes. Real API servers make it of the conditions.
            item.get("printed_status", ""),
        ]
        for item in items
    ]
    columns = [{"name": name} for name in ("Name", "IP", "Node", "Status")]
    rows = [{"cells": row, "object": item} for row, item in zip(cells, objects, strict=True)]
    return {"kind": "Table", "columnDefinitions": columns, "rows": rows}


def _field(item: dict[str, Any], path: str) -> Any:
    for step in path.split("."):
        item = item.get(step, {})
    return item
