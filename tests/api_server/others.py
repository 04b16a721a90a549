# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What others do on a cluster with a router of backend egress_router_cr, and what is seen there."""

from __future__ import annotations

from typing import Any

from ansible_collections.egress.router.plugins.module_utils._egress_router_cr import manifests, operator
from ansible_collections.egress.router.tests.api_server.api import TOKENS, Api, Refused, until
from ansible_collections.egress.router.tests.api_server.world import World


def good(result: dict[str, Any]) -> dict[str, Any]:
    assert not result.get("failed"), result
    return result


def annotation(world: World, name: str = operator.HASH) -> str | None:
    found: dict[str, str] = world.get("deployments")["spec"]["template"]["metadata"]["annotations"]
    return found.get(name)


def restart_by_hand(world: World) -> None:
    (pod,) = world.pods()
    assert not world.nodes.overlaps, world.nodes.overlaps
    world.api("DELETE", world.path("pods", pod["metadata"]["name"]))

    def names() -> list[str]:
        return [one["name"] for one in world.nodes.of(world.namespace)]

    until(
        lambda: len(names()) == 1 and names() != [pod["metadata"]["name"]], "a new pod runs, and the old one does not"
    )
    # Whoever deletes a pod by hand has two for a moment; that is not the module's doing.
    world.nodes.overlaps.clear()


def set_rules(world: World, port: int) -> None:
    """As somebody does with kubectl edit."""
    rules = [{"port": port, "protocol": "TCP", "destinationIP": "203.0.113.99"}]
    world.api.merge(world.path("egressrouters"), {"spec": {"redirect": {"redirectRules": rules}}})
    until(
        lambda: f"{port} TCP 203.0.113.99" in world.get("network-attachment-definitions")["spec"]["config"],
        "the operator reacted",
    )


def bind_shipped_role(world: World) -> None:
    """Lets jane do what the shipped role permits, and no more, in the namespace of the test."""
    deployer = manifests.cluster_roles()[0]
    path = "/apis/rbac.authorization.k8s.io/v1"
    try:
        world.api("POST", f"{path}/clusterroles", deployer)
    except Refused as error:
        assert error.status == 409
    subject = {"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}
    role = {"kind": "ClusterRole", "name": deployer["metadata"]["name"], "apiGroup": "rbac.authorization.k8s.io"}
    world.api(
        "POST",
        f"{path}/namespaces/{world.namespace}/rolebindings",
        {"metadata": {"name": "jane"}, "subjects": [subject], "roleRef": role},
    )
    jane = Api(world.api.url, TOKENS["jane"])
    until(lambda: _may_list(jane, world), "the role is bound")


def _may_list(jane: Api, world: World) -> bool:
    try:
        return bool(jane("GET", world.path("egressrouters").rpartition("/")[0]))
    except Refused:
        return False
