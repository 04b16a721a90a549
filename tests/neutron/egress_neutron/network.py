"""A few requests to Neutron, as Nova would make them."""

from __future__ import annotations

import json
from typing import Any

from .settings import Instance
from .web import Identity


class Network(Identity):
    """Neutron's API, as the admin."""

    def __init__(self, instance: Instance) -> None:
        super().__init__(instance)
        self._url = f"{instance.network_url}/v2.0"

    def list(self, what: str, **query: str) -> list[dict[str, Any]]:
        words = "&".join(f"{key}={value}" for key, value in query.items())
        with self._request("GET", f"/{what}?{words}") as answer:
            found: list[dict[str, Any]] = json.load(answer)[what]
        return found
