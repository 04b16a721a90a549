# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Kubernetes API: the router's ConfigMap, Lease and EndpointSlices, each by its name.

A few requests with urllib3: the official client costs a second of imports and 35 MB in each pod, to send merge patches.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import urllib3
from urllib3.exceptions import HTTPError

from ansible_collections.egress.router.plugins.module_utils._contract import names

Json = dict[str, Any]
# (connect, read) in seconds.
Timeout = tuple[float, float]

# Where the kubelet puts the pod's credentials (kubernetes.io/docs/tasks/run-application/access-api-from-pod).
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
MERGE_PATCH = "application/merge-patch+json"
# The API server ends a watch after this; a connection that broke silently is noticed a little later.
WATCH_SECONDS = 30


class ApiError(Exception):
    """A request failed. `status` is the HTTP status, 0 if the API server could not be reached."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class ApiServer:
    """Where the API server is, and the files that prove who both sides are. The kubelet renews them, so they are re-read."""

    url: str
    ca_file: str
    token_file: Path

    @classmethod
    def in_cluster(cls, environment: Mapping[str, str]) -> ApiServer:
        """The API server of the pod's cluster; raises ApiError outside of a cluster."""
        host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT")
        if not host or not port:
            raise ApiError(0, "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this is not a pod")
        url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        return cls(url, str(SERVICE_ACCOUNT / "ca.crt"), SERVICE_ACCOUNT / "token")

    def token(self) -> str:
        """The current token; raises ApiError."""
        try:
            return self.token_file.read_text().strip()
        except OSError as error:
            raise ApiError(0, f"the service account's token cannot be read: {error}") from error


class Kube:
    """The objects of one router. `timeout` bounds every request but watches. All methods may be called from any thread."""

    def __init__(self, server: ApiServer, namespace: str, router: str, timeout: Timeout) -> None:
        self._server = server
        # One connection each for both watches, the Lease, the endpoints, and a late one. The CA file is read for each connection.
        self._pool = urllib3.connection_from_url(
            server.url, maxsize=5, cert_reqs="CERT_REQUIRED", ca_certs=server.ca_file
        )
        self._timeout = timeout
        self._router = router
        self._config_maps = f"/api/v1/namespaces/{namespace}/configmaps"
        self._leases = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._lease = f"{self._leases}/{router}"
        self._slices = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"

    def lease(self, timeout: Timeout | None = None) -> Json:
        """The router's Lease."""
        return self._json("GET", self._lease, timeout=timeout)

    def patch_lease(self, patch: Json, timeout: Timeout | None = None) -> Json:
        """Merge `patch` into the Lease. With metadata.resourceVersion in it, ApiError 409 if the Lease was changed since."""
        return self._json("PATCH", self._lease, patch, timeout)

    def endpoint_slice(self, family: int, timeout: Timeout | None = None) -> Json:
        """The EndpointSlice of one family."""
        path = f"{self._slices}/{names.endpoint_slice(self._router, family)}"
        return self._json("GET", path, timeout=timeout)

    def patch_endpoint_slice(self, family: int, patch: Json, version: str, timeout: Timeout | None = None) -> Json:
        """Merge `patch` into the EndpointSlice of one family; ApiError 409 if it is not at resourceVersion `version`."""
        patch = {**patch, "metadata": {"resourceVersion": version}}
        return self._json("PATCH", f"{self._slices}/{names.endpoint_slice(self._router, family)}", patch, timeout)

    def watch_rules(self) -> Iterator[Json | None]:
        """The rules ConfigMap (None: it does not exist), now and after each change; call again when it ends."""
        name = names.rules_config_map(self._router)
        listed = self._json("GET", self._config_maps, query={"fieldSelector": f"metadata.name={name}"})
        items = listed.get("items") or []
        yield items[0] if items else None
        yield from self._watch("ConfigMap", self._config_maps, name, listed)

    def watch_lease(self) -> Iterator[Json | None]:
        """The router's Lease (None: it was deleted), now and after each change; call again when it ends."""
        found = self.lease()
        yield found
        yield from self._watch("Lease", self._leases, self._router, found)

    def _watch(self, kind: str, path: str, name: str, since: Json) -> Iterator[Json | None]:
        query = {
            "fieldSelector": f"metadata.name={name}",
            "watch": "true",
            "resourceVersion": str(since["metadata"]["resourceVersion"]),
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        timeout = (self._timeout[0], WATCH_SECONDS + 5.0)
        response = self._request("GET", path, None, query, timeout, preload=False)
        try:
            for line in _lines(response):
                yield _watched(json.loads(line))
        except (HTTPError, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise ApiError(0, f"the watch of {kind} {name} broke off: {_plain(error)}") from error
        finally:
            response.close()
            response.release_conn()

    def _json(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        timeout: Timeout | None = None,
        query: Json | None = None,
    ) -> Json:
        response = self._request(method, path, body, query or {}, timeout or self._timeout)
        try:
            answer: Json = json.loads(response.data)
            # Every object and every list has one.
            str(answer["metadata"]["resourceVersion"])
        except (ValueError, LookupError, TypeError) as error:
            raise ApiError(0, f"{method} {path}: the API server answered with something else: {error!r}") from error
        return answer

    def _request(
        self, method: str, path: str, body: Json | None, query: Json, timeout: Timeout, preload: bool = True
    ) -> urllib3.HTTPResponse:
        headers = {"Accept": "application/json", "Authorization": f"Bearer {self._server.token()}"}
        if method == "PATCH":
            headers["Content-Type"] = MERGE_PATCH
            query = {**query, "fieldManager": names.FIELD_MANAGER_AGENT}
        try:
            response = self._pool.urlopen(
                method,
                f"{path}?{urlencode(query)}" if query else path,
                None if body is None else json.dumps(body).encode(),
                headers,
                # A retry would multiply the timeout.
                retries=False,
                redirect=False,
                timeout=urllib3.Timeout(connect=timeout[0], read=timeout[1]),
                preload_content=preload,
            )
            if response.status >= 400:
                raise ApiError(response.status, f"{method} {path}: {response.status} {_message(response)}")
        except (HTTPError, OSError) as error:
            raise ApiError(0, f"{method} {path}: the API server did not answer: {_plain(error)}") from error
        return cast(urllib3.HTTPResponse, response)


def _watched(event: Json) -> Json | None:
    """The object of a watch's event, None if it was deleted."""
    found: Json = event["object"]
    if event["type"] == "ERROR":
        # Usually 410: the version is too old. The caller lists again.
        raise ApiError(int(found.get("code", 0)), str(found.get("message", "the watch failed")))
    str(found["metadata"]["name"] + found["metadata"]["resourceVersion"])
    return None if event["type"] == "DELETED" else found


def _lines(response: urllib3.HTTPResponse) -> Iterator[bytes]:
    buffer = b""
    for chunk in response.stream(amt=65536):
        buffer += chunk
        *lines, buffer = buffer.split(b"\n")
        yield from (line for line in lines if line.strip())


def _message(response: Any) -> str:
    """What the API server says about a refused request."""
    try:
        return str(json.loads(response.data)["message"])
    except (TypeError, ValueError, KeyError):
        return str(response.reason)


def _plain(error: Exception) -> str:
    """An error's text without urllib3's description of the connection, which is different each time."""
    return str(error).rpartition(">: ")[2]
