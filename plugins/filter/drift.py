# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError


def drift(results: Iterable[Any]) -> list[dict[str, str]]:
    found = []
    for result in results:
        # A task that was not reached has no result, and one that was skipped changed nothing.
        if not isinstance(result, Mapping) or not result.get("changed"):
            continue
        differences = result.get("diff") or []
        if not differences:
            raise AnsibleFilterError(
                "a task would change something, and has no difference: run the playbook with --diff"
            )
        found += [_difference(one) for one in (differences if isinstance(differences, list) else [differences])]
    return found


def _difference(diff: Mapping[str, Any]) -> dict[str, str]:
    before, after = (str(diff.get(side) or "").splitlines() for side in ("before", "after"))
    title = str(diff.get("after_header") or diff.get("before_header") or "")
    return {
        "object": title,
        "difference": "\n".join(difflib.unified_diff(before, after, "before", "after", lineterm="")),
    }


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"drift": drift}
