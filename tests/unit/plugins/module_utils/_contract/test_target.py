# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.egress.router.plugins.module_utils._contract.target import (
    Target,
    TargetError,
    family_of,
    parse,
    scheme_of,
)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("tcp://db:5432", Target("tcp", 0, "db", 5432, "/")),
        ("tcp6://db:5432", Target("tcp", 6, "db", 5432, "/")),
        ("http4://db/x", Target("http", 4, "db", 80, "/x")),
        ("http://[2001:db8::1]:8080", Target("http", 0, "2001:db8::1", 8080, "/")),
    ],
)
def test_what_is_a_target(text: str, target: Target) -> None:
    assert parse(text, ("tcp", "http")) == target
    assert family_of(text) == target.family and text.startswith(f"{scheme_of(target.scheme, target.family)}://")


@pytest.mark.parametrize(
    "text", ["", "db:5432", "tcp://db", "tcp5://db:1", "udp://db:1", "tcp://db:99999", "tcp://[::1:1"]
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(TargetError, match="'"):
        parse(text, ("tcp", "http"))
