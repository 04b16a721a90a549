# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# A kubeconfig is looked up in the play's files/ and decrypted with vault, as for every module of kubernetes.core.
# A redirect in meta/runtime.yml would do it too, but ansible-lint then tells users to call kubernetes.core's module.
from __future__ import annotations

from ansible_collections.kubernetes.core.plugins.action.k8s_info import ActionModule

__all__ = ["ActionModule"]
