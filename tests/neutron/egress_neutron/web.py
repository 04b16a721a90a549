"""A few requests of the standard library: whether a server answers, and Keystone's first content."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from .settings import PASSWORD, Instance


def answers(url: str) -> bool:
    """Whether a server gives any answer."""
    try:
        with urllib.request.urlopen(url, timeout=10):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


class Identity:
    """Keystone's API, as its admin."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._url = instance.identity_url
        user = {"name": "admin", "domain": {"id": "default"}, "password": PASSWORD}
        scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
        identity = {"methods": ["password"], "password": {"user": user}}
        with self._request("POST", "/auth/tokens", {"auth": {"identity": identity, "scope": scope}}) as answer:
            self._token = answer.headers["X-Subject-Token"]

    def create(self, kind: str, **fields: Any) -> str:
        """Makes something and returns its id."""
        with self._request("POST", f"/{kind}s", {kind: fields}) as answer:
            return str(json.load(answer)[kind]["id"])

    def find(self, kind: str, name: str) -> str:
        """The id of what is called `name`."""
        with self._request("GET", f"/{kind}s?name={name}") as answer:
            return str(json.load(answer)[f"{kind}s"][0]["id"])

    def put(self, path: str) -> None:
        with self._request("PUT", path):
            pass

    def first_query(self) -> None:
        """Neutron's first query sets its models up. Were it for ports it would answer 500 (no port_forwardings)."""
        headers = {"X-Auth-Token": self._token}
        request = urllib.request.Request(f"{self._instance.network_url}/v2.0/networks", headers=headers)
        with urllib.request.urlopen(request, timeout=60):
            pass

    def _request(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Content-Type": "application/json", "X-Auth-Token": getattr(self, "_token", "")}
        data = json.dumps(body).encode() if body else None
        return urllib.request.urlopen(
            urllib.request.Request(self._url + path, data=data, headers=headers, method=method), timeout=30
        )
