# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

from __future__ import annotations


# The options are those of openstack.cloud, so that its credentials, variables and defaults work here too.
# They are described here again, because importers build the documentation without other collections at hand.
class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  cloud:
    description:
      - Name of a cloud in C(clouds.yaml), or a whole cloud's configuration as a dictionary.
      - Without it and without O(auth), what openstacksdk finds in the environment, E(OS_CLOUD) first.
      - The file is E(OS_CLIENT_CONFIG_FILE), or the first of C(./clouds.yaml), C(~/.config/openstack/clouds.yaml) and
        C(/etc/openstack/clouds.yaml).
    type: raw
  auth:
    description:
      - What the authentication plugin needs, for V(password) C(auth_url), C(username), C(password), C(project_name) and the
        domains.
      - Also taken from the environment variables E(OS_AUTH_URL), E(OS_USERNAME) and so on.
    type: dict
  auth_type:
    description: Name of the authentication plugin.
    type: str
  region_name:
    description:
      - Name of the region.
      - Also taken from the environment variable E(OS_REGION_NAME).
    type: str
  validate_certs:
    description: Whether certificates are checked.
    type: bool
    aliases:
      - verify
  ca_cert:
    description: Path of the certificates that the servers' certificates are checked with.
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
    description: How many seconds to wait for an answer.
    type: int
  interface:
    description: Which of a service's endpoints to use.
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
