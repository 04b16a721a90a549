# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""All checks, in the order of the report. A new one is a file in this folder and a line here."""

from __future__ import annotations

from ..finding import Check
from . import (
    address,
    beats,
    cloud,
    cluster_address,
    cni,
    egress_router_cr,
    image,
    kernel,
    leftovers,
    mac_budget,
    master,
    namespace,
    network_policy,
    nodes,
    openshift,
    openstack,
    permissions,
    quota,
    user_namespaces,
    vsphere,
)

CHECKS: tuple[Check, ...] = (
    cloud.CHECK,
    openstack.CHECK,
    vsphere.CHECK,
    *cni.CHECKS,
    *nodes.CHECKS,
    *master.CHECKS,
    *address.CHECKS,
    cluster_address.CHECK,
    *mac_budget.CHECKS,
    *namespace.CHECKS,
    user_namespaces.CHECK,
    quota.CHECK,
    network_policy.CHECK,
    beats.CHECK,
    permissions.CHECK,
    *kernel.CHECKS,
    image.CHECK,
    *leftovers.CHECKS,
    *openshift.CHECKS,
    *egress_router_cr.CHECKS,
)
IDS = tuple(check.id for check in CHECKS)
