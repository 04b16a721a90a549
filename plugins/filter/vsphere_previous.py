# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

# What an entry is about; the rest of it are flags.
_ADDRESS = ("kind", "esxi_hostname", "switch", "portgroup")


def vsphere_previous(previous: list[dict[str, Any]], kept: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    resources = (kept or {}).get("resources") or [{}]
    text = (resources[0].get("data") or {}).get("previous") or "[]"
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    # The oldest first: it is from before the first change.
    for entry in [*json.loads(text), *previous]:
        key = tuple(entry.get(name) for name in _ADDRESS)
        found[key] = {**entry, **found.get(key, {})}
    return list(found.values())


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"vsphere_previous": vsphere_previous}
