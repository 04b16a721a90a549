# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Where the text of the rules is in its ConfigMap. Agent and modules read it here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .names import RULES_KEY
from .rules import RulesError


def rules_text(config_map: Mapping[str, Any]) -> str:
    """The text; empty if there are no rules. RulesError if the text is stored in a way that nobody reads."""
    if RULES_KEY in (config_map.get("binaryData") or {}):
        # Where kubectl puts a file that is not UTF-8.
        raise RulesError([f"key {RULES_KEY} is in binaryData: save it as UTF-8 text"])
    return (config_map.get("data") or {}).get(RULES_KEY) or ""
