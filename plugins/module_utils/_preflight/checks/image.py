# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Whether the routers' images start on the nodes."""

from __future__ import annotations

from collections.abc import Iterator

from ..._router.router import Router
from ..facts import INSPECTION, Facts, name_of
from ..finding import ERROR, WARNING, Check, Finding, Part

# Of the reason why an image does not start: it is not on the node, and could not be pulled.
_NOT_PULLED = ("ErrImagePull", "ImagePullBackOff")


def _ask(facts: Facts) -> Iterator[Finding]:
    for router in facts.routers:
        if router.id in facts.inspected:
            for node in facts.eligible(router):
                inspection = facts.inspections.get(name_of(node))
                problem = inspection.images.get(router.image) if inspection else ""
                if problem:
                    severity, advice = (
                        ERROR,
                        "Correct image, give the node access to its registry, or add a pull secret",
                    )
                    if _lacked_secrets(facts, router) and problem.startswith(_NOT_PULLED):
                        severity = WARNING
                        advice = (
                            "This proves nothing, because image_pull_secrets are read in the router's own namespace, where "
                            "preflight runs no pod: to be sure, set preflight_namespace to a namespace with the same secrets"
                        )
                    yield Finding(
                        "image", severity, problem, f"image {router.image} starts on every node that can run it", advice,
                        (router.id,), (name_of(node),),
                    )  # fmt: skip


def _lacked_secrets(facts: Facts, router: Router) -> bool:
    """Whether the pods on the nodes could not use the router's pull secrets."""
    return bool(router.image_pull_secrets) and not facts.settings.inspection_namespace


CHECK = Check("image", "every router's image starts on every node", (Part((INSPECTION,), _ask),))
