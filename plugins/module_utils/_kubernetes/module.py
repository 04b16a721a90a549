# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""An Ansible module that talks to a cluster, with kubernetes.core's options for the connection."""

from __future__ import annotations

from typing import Any

from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.client import get_api_client
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.core import AnsibleK8SModule
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.exceptions import CoreException

from .._common.errors import EgressError
from .._common.failing import FailingModule
from .cluster import Cluster, translated

try:
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException
except ImportError:
    # AnsibleK8SModule reports the missing library.
    ConfigException = type("Missing", (Exception,), {})


class EgressModule(FailingModule, AnsibleK8SModule):
    """An Ansible module with the options of kubernetes.core for the connection."""

    def __init__(self, argument_spec: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(argument_spec={**AUTH_ARG_SPEC, **argument_spec}, supports_check_mode=True, **kwargs)

    def connect(self, leaves_nothing: bool = False) -> Cluster:
        """The cluster that the options name. In check mode its writes are dry runs of the server.

        `leaves_nothing`: the module removes whatever it creates, so that it works in check mode too.
        """
        return Cluster(_client(self, {}), dry_run=self.check_mode and not leaves_nothing)


def connect(options: dict[str, Any]) -> Cluster:
    """The cluster that the options or their variables name, for what is no module and may connect to several."""
    # The client keeps the last kubeconfig as what others start from.
    Configuration.set_default(None)
    return Cluster(_client(None, {name: options[name] for name in AUTH_ARG_SPEC if name in options}))


def _client(module: EgressModule | None, options: dict[str, Any]) -> Any:
    with translated("", ""):
        try:
            return get_api_client(module, **options).client
        except (CoreException, ConfigException) as error:
            raise EgressError(
                f"{error}: name the cluster with kubeconfig and context, or host and api_key, or their K8S_AUTH_ "
                "variables"
            ) from error
