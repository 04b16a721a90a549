# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Clouds that drop frames with any other MAC address than the server's own, known by the nodes' providerID.

The forms are those that each cloud's controller manager writes into spec.providerID.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..facts import NODES, Facts, name_of
from ..finding import ERROR, Check, Finding, Part

# By the scheme of the providerID.
CLOUDS = {
    "alicloud": "Alibaba Cloud",
    "aws": "AWS",
    "azure": "Azure",
    "baiducloud": "Baidu AI Cloud",
    "bcc": "Baidu AI Cloud",
    "cce": "Baidu AI Cloud",
    "civo": "Civo",
    "digitalocean": "DigitalOcean",
    "exoscale": "Exoscale",
    "gce": "Google Cloud",
    "hcloud": "Hetzner Cloud",
    "huaweicloud": "Huawei Cloud",
    "ibm": "IBM Cloud",
    "ibmpowervs": "IBM Power Virtual Server",
    "ibmvpc": "IBM Cloud VPC",
    "linode": "Linode",
    "oci": "Oracle Cloud",
    "qcloud": "Tencent Cloud",
    "scaleway": "Scaleway",
    "tencentcloud": "Tencent Cloud",
    "upcloud": "UpCloud",
    "volcengine": "Volcano Engine",
    "vultr": "Vultr",
    "yandex": "Yandex Cloud",
}
# Forms without a scheme: Oracle's ids, and Alibaba's REGION.INSTANCE.
_BARE = (
    ("Oracle Cloud", re.compile(r"ocid1\.")),
    ("Alibaba Cloud", re.compile(r"[a-z]+-[a-z0-9-]+\.i-[a-z0-9]{8,}\Z")),
)


def cloud_of(provider_id: str) -> str:
    """The cloud without layer 2 that the node belongs to; empty if it belongs to none that is known."""
    scheme, separator, _rest = provider_id.partition("://")
    if separator:
        return CLOUDS.get(scheme.lower(), "")
    return next((cloud for cloud, form in _BARE if form.match(provider_id)), "")


def _ask(facts: Facts) -> Iterator[Finding]:
    clouds = {name_of(node): cloud_of(_provider_id(node)) for node in facts.nodes}
    for router in facts.all_routers:
        names = [name_of(node) for node in facts.eligible(router)]
        refused = [name for name in names if clouds[name]]
        mixed = f", the other {len(names) - len(refused)} are not" if len(refused) < len(names) else ""
        others = "exclude these nodes with node_selector" if mixed else "use the cloud's own NAT gateway instead"
        for cloud in dict.fromkeys(clouds[name] for name in refused):
            count = sum(clouds[name] == cloud for name in names)
            verb = "are servers" if count > 1 else "is a server"
            yield Finding(
                "cloud",
                ERROR,
                f"{count} of the {len(names)} nodes that can run it {verb} of {cloud}{mixed}",
                "nodes on a layer 2 network, which delivers frames from and to additional MAC addresses",
                f"{cloud} drops such frames, whatever the cluster does: {others}",
                (router.id,),
                tuple(name for name in names if clouds[name] == cloud),
            )


def _provider_id(node: Mapping[str, Any]) -> str:
    return str(node["spec"].get("providerID") or "")


CHECK = Check("cloud", "no node is a server of a cloud without layer 2", (Part((NODES,), _ask),))
