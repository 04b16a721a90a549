# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The servers and ports that users name: by id, or by the providerID that Kubernetes has for a node."""

from __future__ import annotations

from dataclasses import dataclass

from .._common.errors import InputError
from .._common.provider_id import is_uuid, split_provider_id


@dataclass(frozen=True)
class NodeId:
    """A node. `server`: whether `id` is certainly that of a server; otherwise it may be that of a port."""

    text: str
    id: str
    server: bool = False
    region: str = ""

    def __str__(self) -> str:
        return f"server {self.id}" if self.server else self.id


def is_openstack(provider_id: str) -> bool:
    """Whether a node's providerID is OpenStack's."""
    return provider_id.startswith("openstack://")


def read_node(text: str) -> NodeId:
    """A node from a server id, a port id or a providerID."""
    written = text.strip()
    if not written:
        raise InputError(
            "a node has neither a server id nor a providerID: check that OpenStack's cloud controller manager runs in the cluster"
        )
    provider = split_provider_id(written)
    if provider and provider.cloud != "openstack":
        raise InputError(
            f"node '{written}' belongs to cloud '{provider.cloud}', not to OpenStack: exclude it, or specify the id of its "
            "OpenStack server"
        )
    # cloud-provider-openstack sets openstack:///UUID, or openstack://REGION/UUID when it manages several regions.
    region, _slash, found = provider.path.rpartition("/") if provider else ("", "", written)
    if not is_uuid(found.lower()) or "/" in region:
        raise InputError(
            f"node '{written}' is not a server id, a port id or a providerID of the form openstack:///SERVER-ID"
        )
    return NodeId(written, found.lower(), server=bool(provider), region=region)
