# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Reads the list of routers before the module does, see plugin_utils/_action.py.
from __future__ import annotations

from ansible_collections.egress.router.plugins.plugin_utils._action import RoutersAction as ActionModule

__all__ = ["ActionModule"]
