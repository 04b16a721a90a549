# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Whether the routers' images start on the nodes."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import INSPECTION, Facts, name_of
from ..finding import ERROR, Check, Finding, Part


def _ask(facts: Facts) -> Iterator[Finding]:
    for router in facts.routers:
        if router.id in facts.inspected:
            for node in facts.eligible(router):
                inspection = facts.inspections.get(name_of(node))
                problem = inspection.images.get(router.image) if inspection else ""
                if problem:
                    yield Finding(
                        "image", ERROR, problem, f"image {router.image} starts on every node that can run it",
                        "Correct image, give the node access to its registry, or add a pull secret", (router.id,),
                        (name_of(node),),
                    )  # fmt: skip


CHECK = Check("image", "every router's image starts on every node", (Part((INSPECTION,), _ask),))
