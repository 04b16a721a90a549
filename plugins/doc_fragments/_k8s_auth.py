# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

from __future__ import annotations


# The options are those of kubernetes.core, so that its credentials, variables and defaults work here too.
# They are described here again, because importers build the documentation without other collections at hand.
class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - Path of a kubeconfig file, or its content as a dictionary.
      - Without it and without O(host), the pod's own service account is used, then C(~/.kube/config).
      - Also taken from the environment variable E(K8S_AUTH_KUBECONFIG).
    type: raw
  context:
    description:
      - Name of a context of the kubeconfig file.
      - Also taken from the environment variable E(K8S_AUTH_CONTEXT).
    type: str
  host:
    description:
      - URL of the API server.
      - Also taken from the environment variable E(K8S_AUTH_HOST).
    type: str
  api_key:
    description:
      - Token for the API server.
      - Also taken from the environment variable E(K8S_AUTH_API_KEY).
    type: str
  username:
    description:
      - Name of the user, where the API server is behind HTTP basic authentication.
      - Also taken from the environment variable E(K8S_AUTH_USERNAME).
    type: str
  password:
    description:
      - Password of O(username).
      - Also taken from the environment variable E(K8S_AUTH_PASSWORD).
    type: str
  client_cert:
    description:
      - Path of a client certificate.
      - Also taken from the environment variable E(K8S_AUTH_CERT_FILE).
    type: path
    aliases:
      - cert_file
  client_key:
    description:
      - Path of the key of O(client_cert).
      - Also taken from the environment variable E(K8S_AUTH_KEY_FILE).
    type: path
    aliases:
      - key_file
  ca_cert:
    description:
      - Path of the certificate that the API server's certificate is checked with, complete with its chain.
      - Also taken from the environment variable E(K8S_AUTH_SSL_CA_CERT).
    type: path
    aliases:
      - ssl_ca_cert
  validate_certs:
    description:
      - Whether the API server's certificate is checked.
      - Also taken from the environment variable E(K8S_AUTH_VERIFY_SSL).
    type: bool
    aliases:
      - verify_ssl
  proxy:
    description:
      - URL of an HTTP proxy in front of the API server. It applies whatever the environment has.
      - Without it, versions 34 and later of the Kubernetes client obey E(HTTPS_PROXY), E(HTTP_PROXY) and E(NO_PROXY), and versions
        36 and later E(ALL_PROXY) too. Earlier versions look at none of them, and version 34.1 not at E(NO_PROXY).
      - Also taken from the environment variable E(K8S_AUTH_PROXY).
    type: str
  no_proxy:
    description:
      - Comma-separated hosts, domains and networks that are reached without O(proxy).
      - Also taken from the environment variable E(K8S_AUTH_NO_PROXY).
    type: str
  proxy_headers:
    description: Headers for O(proxy).
    type: dict
    suboptions:
      proxy_basic_auth:
        description:
          - C(USER:PASSWORD) for the proxy.
          - Also taken from the environment variable E(K8S_AUTH_PROXY_HEADERS_PROXY_BASIC_AUTH).
        type: str
      basic_auth:
        description:
          - C(USER:PASSWORD) for the API server.
          - Also taken from the environment variable E(K8S_AUTH_PROXY_HEADERS_BASIC_AUTH).
        type: str
      user_agent:
        description:
          - The user agent's name.
          - Also taken from the environment variable E(K8S_AUTH_PROXY_HEADERS_USER_AGENT).
        type: str
  persist_config:
    description:
      - Whether refreshed tokens are written back to the kubeconfig file.
      - Also taken from the environment variable E(K8S_AUTH_PERSIST_CONFIG).
    type: bool
  impersonate_user:
    description:
      - User to act as.
      - Also taken from the environment variable E(K8S_AUTH_IMPERSONATE_USER).
    type: str
  impersonate_groups:
    description:
      - Groups to act as.
      - Also taken from the environment variable E(K8S_AUTH_IMPERSONATE_GROUPS), separated by commas.
    type: list
    elements: str
requirements:
  - python >= 3.10
  - kubernetes >= 24.2.0
  - PyYAML >= 3.11
"""
