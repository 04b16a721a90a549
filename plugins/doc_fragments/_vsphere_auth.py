# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

from __future__ import annotations


# The options are those of community.vmware, so that its variables, credentials and defaults work here too.
# They are described again, because importers build the documentation without other collections.
class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  hostname:
    description:
      - Host name or IP address of the vCenter or ESXi host.
      - If not specified, the environment variable E(VMWARE_HOST) is used.
    type: str
  username:
    description:
      - Name of the user, with its domain for vCenter.
      - If not specified, the environment variable E(VMWARE_USER) is used.
    type: str
    aliases:
      - admin
      - user
  password:
    description:
      - Password of the user.
      - If not specified, the environment variable E(VMWARE_PASSWORD) is used.
    type: str
    aliases:
      - pass
      - pwd
  port:
    description:
      - Port of the API.
      - If not specified, the environment variable E(VMWARE_PORT) is used.
    type: int
    default: 443
  validate_certs:
    description:
      - Whether to verify the TLS certificate.
      - If not specified, the environment variable E(VMWARE_VALIDATE_CERTS) is used.
    type: bool
    default: true
  proxy_host:
    description:
      - Host name or IP address of an HTTP proxy.
      - If not specified, the environment variable E(VMWARE_PROXY_HOST) is used.
    type: str
  proxy_port:
    description:
      - Port of the HTTP proxy.
      - If not specified, the environment variable E(VMWARE_PROXY_PORT) is used.
    type: int
requirements:
  - python >= 3.10
  - pyVmomi >= 8.0.3.0.1
"""
