# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

from __future__ import annotations


# The options are those of community.vmware, so that its variables, credentials and defaults work here too.
# They are described here again, because importers build the documentation without other collections at hand.
class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  hostname:
    description:
      - Host name or address of the vCenter, or of an ESXi host.
      - Also taken from the environment variable E(VMWARE_HOST).
    type: str
  username:
    description:
      - Name of the user, for vCenter with its domain.
      - Also taken from the environment variable E(VMWARE_USER).
    type: str
    aliases:
      - admin
      - user
  password:
    description:
      - Password of the user.
      - Also taken from the environment variable E(VMWARE_PASSWORD).
    type: str
    aliases:
      - pass
      - pwd
  port:
    description:
      - Port of the API.
      - Also taken from the environment variable E(VMWARE_PORT).
    type: int
    default: 443
  validate_certs:
    description:
      - Whether the certificate is checked.
      - Also taken from the environment variable E(VMWARE_VALIDATE_CERTS).
    type: bool
    default: true
  proxy_host:
    description:
      - Host name or address of an HTTP proxy.
      - Also taken from the environment variable E(VMWARE_PROXY_HOST).
    type: str
  proxy_port:
    description:
      - Port of that proxy.
      - Also taken from the environment variable E(VMWARE_PROXY_PORT).
    type: int
requirements:
  - python >= 3.10
  - pyVmomi >= 8.0.3.0.1
"""
