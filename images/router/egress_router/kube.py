# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Kubernetes API: the router's ConfigMap, Lease and EndpointSlices, each by its name.

Requests are made without the client's generated models: merge patches of parts of objects are all that is written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import kubernetes
import urllib3

from ansible_collections.egress.router.plugins.module_utils._contract import names

Json = dict[str, Any]
# (connect, read) in seconds. python3-kubernetes 22.6 ignores a timeout that is one float, and then waits for ever.
Timeout = tuple[float, float]

MERGE_PATCH = "application/merge-patch+json"
# The API server ends a watch after this; a connection that died silently is noticed a little later.
WATCH_SECONDS = 30


class ApiError(Exception):
    """A request failed. `status` is the HTTP status, 0 if the API server could not be reached."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Kube:
    """The objects of one router. `timeout` bounds every request but the watch."""

    def __init__(self, namespace: str, router: str, timeout: Timeout) -> None:
        # The client is typed in some releases only, and differently.
        client: Any = kubernetes.client
        loader: Any = kubernetes.config
        configuration = client.Configuration()
        if os.environ.get("KUBERNETES_SERVICE_HOST"):
            loader.load_incluster_config(client_configuration=configuration)
        else:
            loader.load_kube_config(client_configuration=configuration)
        # A retry inside of urllib3 would multiply every timeout.
        configuration.retries = False
        self._client = client.ApiClient(configuration)
        self._timeout = timeout
        self._router = router
        core = f"/api/v1/namespaces/{namespace}"
        self._config_maps = f"{core}/configmaps"
        self._lease = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{router}"
        self._slices = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"

    def lease(self, timeout: Timeout | None = None) -> Json:
        """The router's Lease."""
        return self._json("GET", self._lease, timeout=timeout)

    def patch_lease(self, patch: Json, timeout: Timeout | None = None) -> Json:
        """Merge `patch` into the Lease; with metadata.resourceVersion in it, ApiError 409 if somebody was faster."""
        return self._json("PATCH", self._lease, patch, timeout)

    def patch_endpoint_slice(self, family: int, patch: Json, timeout: Timeout | None = None) -> None:
        """Merge `patch` into the EndpointSlice of one family."""
        self._json("PATCH", f"{self._slices}/{names.endpoint_slice(self._router, family)}", patch, timeout)

    def watch_rules(self) -> Iterator[Json | None]:
        """The rules ConfigMap (None: there is none), now and after each change; call again when it ends."""
        query = {"fieldSelector": f"metadata.name={names.rules_config_map(self._router)}"}
        listed = self._json("GET", self._config_maps, query=query)
        items = listed.get("items") or []
        yield items[0] if items else None
        query |= {
            "watch": "true",
            "resourceVersion": str(listed["metadata"]["resourceVersion"]),
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        response = self._request("GET", self._config_maps, None, query, (self._timeout[0], WATCH_SECONDS + 5.0))
        try:
            for line in _lines(response):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    # Usually 410: the version is too old. The caller lists again.
                    problem = event["object"]
                    raise ApiError(int(problem.get("code", 0)), str(problem.get("message", "the watch failed")))
                yield None if event["type"] == "DELETED" else event["object"]
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise ApiError(0, f"the watch of {names.rules_config_map(self._router)} broke: {error}") from error
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
            found: Json = json.loads(response.data)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise ApiError(0, f"{method} {path}: the API server's answer broke off: {error}") from error
        return found

    def _request(self, method: str, path: str, body: Json | None, query: Json, timeout: Timeout) -> Any:
        headers = {"Accept": "application/json"}
        if method == "PATCH":
            headers["Content-Type"] = MERGE_PATCH
            query = {**query, "fieldManager": names.FIELD_MANAGER_AGENT}
        try:
            return self._client.call_api(
                path,
                method,
                query_params=list(query.items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _preload_content=False,
                _request_timeout=timeout,
            )
        except kubernetes.client.ApiException as error:
            raise ApiError(error.status or 0, f"{method} {path}: {_reason(error)}") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ApiError(0, f"{method} {path}: the API server did not answer: {error}") from error


def _lines(response: Any) -> Iterator[bytes]:
    buffer = b""
    for chunk in response.stream(amt=65536):
        buffer += chunk
        *lines, buffer = buffer.split(b"\n")
        yield from (line for line in lines if line.strip())


def _reason(error: Any) -> str:
    try:
        return f"{error.status} {json.loads(error.body)['message']}"
    except (TypeError, ValueError, KeyError):
        return f"{error.status} {error.reason}"
