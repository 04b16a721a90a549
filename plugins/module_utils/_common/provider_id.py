# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The part of a Kubernetes node's providerID that all clouds share."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PROVIDER_ID = re.compile(r"(?P<cloud>[^:/]+)://(?P<path>.*)\Z")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


@dataclass(frozen=True)
class ProviderId:
    """`CLOUD://PATH`. The meaning of the path depends on the cloud."""

    cloud: str
    path: str


def split_provider_id(text: str) -> ProviderId | None:
    """The parts of a providerID; None if the text is not one."""
    match = _PROVIDER_ID.match(text)
    return ProviderId(match["cloud"], match["path"]) if match else None


def is_uuid(text: str) -> bool:
    """Whether the text is a UUID in lower case."""
    return _UUID.match(text) is not None
