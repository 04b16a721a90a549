# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API server through the client that the collection's modules have, for tests of what is below the modules."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kubernetes.client
import kubernetes.dynamic

from ansible_collections.egress.router.tests.api_server.api import TOKENS, until


@dataclass(frozen=True)
class ControlPlane:
    """`client`: of an administrator."""

    client: Any

    @classmethod
    def at(cls, url: str, discovery: Path) -> ControlPlane:
        configuration = kubernetes.client.Configuration(host=url)
        # Its certificate is made at its start, and this is the machine itself.
        configuration.verify_ssl = False
        configuration.api_key = {"authorization": f"Bearer {TOKENS['admin']}"}
        client = kubernetes.client.ApiClient(configuration)
        return cls(kubernetes.dynamic.DynamicClient(client, cache_file=str(discovery / "control-plane")))

    def impersonating(self, user: str) -> Any:
        """A client that does what this user may do."""
        client = kubernetes.client.ApiClient(self.client.configuration)
        client.set_default_header("Impersonate-User", user)
        return kubernetes.dynamic.DynamicClient(client)

    def grant(self, user: str, namespace: str, role: dict[str, Any]) -> None:
        """Let a user do what a Role says, in this namespace. Once the API server knows: it hears of roles as everybody does."""
        group, name = "rbac.authorization.k8s.io", role["metadata"]["name"]
        prefix = f"/apis/{group}/v1/namespaces/{namespace}"
        binding = {
            "metadata": {"name": user},
            "roleRef": {"kind": "Role", "name": name, "apiGroup": group},
            "subjects": [{"kind": "User", "name": user, "apiGroup": group}],
        }
        self.request("POST", f"{prefix}/roles", {**role, "metadata": {"name": name, "namespace": namespace}})
        self.request("POST", f"{prefix}/rolebindings", binding)
        one = role["rules"][0]
        asked = {
            "namespace": namespace,
            "verb": one["verbs"][0],
            "group": one["apiGroups"][0],
            "resource": one["resources"][0],
        }
        review = {"spec": {"user": user, "resourceAttributes": asked}}
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        until(lambda: self.request("POST", path, review)["status"]["allowed"], f"{user} may do what the role says")

    def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """One request; its answer, or None for an object that is not there."""
        try:
            answer = self.client.request(method, path, body=body, serialize=False, content_type=content_type)
        except kubernetes.client.exceptions.ApiException as error:
            if error.status == 404:
                return None
            raise
        return json.loads(answer.data)

    def merge(self, path: str, body: Any) -> Any:
        return self.request("PATCH", path, body, "application/merge-patch+json")
