# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

from __future__ import annotations


# The options are those of openstack.cloud, so that its credentials, variables and defaults work here too.
# They are described again, because importers build the documentation without other collections.
class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  cloud:
    description:
      - Name of a cloud in C(clouds.yaml), or the configuration of a cloud as a dictionary.
      - Without it and without O(auth), openstacksdk uses the environment, first E(OS_CLOUD).
      - The file is E(OS_CLIENT_CONFIG_FILE), or the first of C(./clouds.yaml), C(~/.config/openstack/clouds.yaml) and
        C(/etc/openstack/clouds.yaml).
    type: raw
  auth:
    description:
      - Options of the authentication plugin. For V(password) these are C(auth_url), C(username), C(password),
        C(project_name) and the domains.
      - If not specified, the environment variables E(OS_AUTH_URL), E(OS_USERNAME) and so on are used.
    type: dict
  auth_type:
    description: Name of the authentication plugin.
    type: str
  region_name:
    description:
      - Name of the region.
      - If not specified, the environment variable E(OS_REGION_NAME) is used.
    type: str
  validate_certs:
    description: Whether to verify TLS certificates.
    type: bool
    aliases:
      - verify
  ca_cert:
    description: Path of a file with certificates of certificate authorities.
    type: str
    aliases:
      - cacert
  client_cert:
    description: Path of a client certificate.
    type: str
    aliases:
      - cert
  client_key:
    description: Path of the key of O(client_cert).
    type: str
    aliases:
      - key
  api_timeout:
    description: Timeout of a request in seconds.
    type: int
  interface:
    description: The endpoints to use.
    type: str
    choices:
      - public
      - internal
      - admin
    default: public
    aliases:
      - endpoint_type
requirements:
  - python >= 3.10
  - openstacksdk >= 4.0
"""
