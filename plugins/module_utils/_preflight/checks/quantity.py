# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Kubernetes' quantities, such as 100m, 96Mi or 2."""

from __future__ import annotations

import re
from decimal import Decimal

_FORM = re.compile(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)(|n|u|m|k|[KMGTPE]i|[MGTPE])\Z")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {letter: 10 * power for power, letter in enumerate("KMGTPE", 1)}


def quantity(text: object) -> Decimal:
    """The number that a quantity stands for. ValueError for anything else.

    https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
    """
    match = _FORM.match(str(text).strip())
    if not match:
        raise ValueError(f"'{text}' is not a quantity")
    number, suffix = Decimal(match[1]), match[2]
    if suffix.endswith("i"):
        return number * Decimal(2) ** _BINARY[suffix[0]]
    return number.scaleb(_DECIMAL[suffix])
