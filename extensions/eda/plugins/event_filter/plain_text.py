# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter of events for ansible-rulebook: texts of others that stay texts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

# ansible-rulebook runs this file by its path, without Ansible's import of collections. The rest of the collection is where this is.
sys.path.insert(0, str(Path(__file__).absolute().parents[7]))

from ansible_collections.egress.router.plugins.module_utils._events.plain_text import plain

DOCUMENTATION = r"""
name: plain_text
short_description: Keep templates in events from being evaluated
description:
  - A playbook that a rulebook runs has the event as extra variables, and Ansible evaluates templates in these. This filter writes a
    blank into each text where a template would begin, so that whoever sends events cannot run code.
options: {}
"""

EXAMPLES = r"""
- eda.builtin.webhook:
    port: 5000
  filters:
    - egress.router.plain_text:
"""


def main(event: dict[str, Any]) -> dict[str, Any]:
    """Called by ansible-rulebook."""
    found: dict[str, Any] = plain(event)
    return found
