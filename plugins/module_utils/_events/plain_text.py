# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Texts of others that stay texts. Pure.

ansible-rulebook gives an event to a playbook as extra variables, and Ansible evaluates templates in these. Whoever may write a Lease
or a pod's status would run code on the controller.
"""

from __future__ import annotations

import re
from typing import Any

# What begins a template, a statement or a comment.
_BEGIN = re.compile(r"\{(?=[{%#])")


def plain(value: Any) -> Any:
    """The same with a blank in each text where a template would begin, in dictionaries and lists as well."""
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return _BEGIN.sub("{ ", value) if isinstance(value, str) else value
