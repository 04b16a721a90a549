# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What a client connects to, as `tcp://HOST:PORT`: `egress-router probe` and `watch` read it, verify and drill write it.

A scheme that ends with 4 or 6 uses the addresses of that family only, of those that HOST has.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit


class TargetError(ValueError):
    """The text is not a target."""


@dataclass(frozen=True)
class Target:
    """`family`: 4, 6, or 0 for any."""

    scheme: str
    family: int
    host: str
    port: int
    path: str


def parse(text: str, schemes: Collection[str]) -> Target:
    """The target; TargetError if it is none with one of these schemes."""
    try:
        parts = urlsplit(text)
        scheme, family = _split(parts.scheme)
        port = parts.port or (80 if scheme == "http" else 0)
    except ValueError as error:
        raise TargetError(f"'{text}': {error}") from error
    if scheme not in schemes or not parts.hostname or not port:
        raise TargetError(f"'{text}' is not {', '.join(f'{scheme}://HOST:PORT' for scheme in schemes)}")
    return Target(scheme, family, parts.hostname, port, parts.path or "/")


def scheme_of(protocol: str, family: int) -> str:
    """`tcp`, `tcp6`. `family`: 0 for any."""
    return f"{protocol.lower()}{family or ''}"


def family_of(text: str) -> int:
    """The family that a target asks for; 0 for any."""
    return _split(text.partition("://")[0])[1]


def _split(scheme: str) -> tuple[str, int]:
    return (scheme[:-1], int(scheme[-1])) if scheme[-1:] in ("4", "6") else (scheme, 0)
