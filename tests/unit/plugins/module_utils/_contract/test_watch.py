# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.egress.router.plugins.module_utils._contract.watch import (
    Established,
    Gap,
    Period,
    PeriodsError,
    Target,
    from_lines,
)

PLAIN = Period(1, 0.001, (Target("udp://db:53", 100, 0),))
WHOLE = Period(
    2,
    0.02,
    (Target("tcp://db:5432", 99, 30, 0.2, (Gap(0.5, 0.31, 30),), "no answer in 0.5 s"),),
    Established(200, 199, 1, 0.4, "the server closed it"),
)


def test_periods_are_read_as_they_were_written() -> None:
    assert from_lines(f"{PLAIN.to_json()}\n{WHOLE.to_json()}\n") == [PLAIN, WHOLE]


def test_a_line_that_is_not_whole_waits() -> None:
    text = f"{PLAIN.to_json()}\n{WHOLE.to_json()}"
    assert from_lines(text) == from_lines(text[:-20]) == [PLAIN]
    assert from_lines("") == []


@pytest.mark.parametrize(
    "text", ["usage: egress-router\n", "[]\n", "{}\n", '{"number": 1}\n', "3\n", '{"targets": 3}\n']
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(PeriodsError, match="egress-router watch"):
        from_lines(text)
