# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For how long nothing answered, as attempts that overlap tell."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ansible_collections.egress.router.images.router.egress_router.proof.gaps import Gaps
from ansible_collections.egress.router.plugins.module_utils._contract.watch import Gap, Target

PATIENCE = 0.5


def played(
    served: Callable[[float], bool],
    seconds: float = 3.0,
    answer: float = 0.001,
    pauses: tuple[tuple[float, float], ...] = (),
) -> Gaps:
    """Attempts every 10 ms. While nobody serves they fail after PATIENCE. In `pauses` the client does nothing."""
    gaps, events = Gaps("tcp://db:1", 0.05, PATIENCE), []
    for number in range(int(seconds * 100)):
        begun = number / 100
        if any(start <= begun < end for start, end in pauses):
            continue
        ok = served(begun)
        events += [(begun, "begin", begun), (begun + (answer if ok else PATIENCE), "ok" if ok else "failed", begun)]
    for at, what, begun in sorted(events):
        if at > seconds:
            break
        if what == "begin":
            gaps.begin(at)
        elif what == "ok":
            gaps.succeed(at)
        else:
            gaps.fail(begun, "no answer")
    return gaps


def test_no_gap() -> None:
    found = played(lambda at: True).take(3.0)
    assert (found.attempts, found.failed, found.gaps, found.down_seconds, found.error) == (300, 0, (), 0.0, "")


@pytest.mark.parametrize("answer", [0.001, 0.06, 0.2])
def test_a_gap_is_as_long_as_it_was(answer: float) -> None:
    """However long an answer takes on its way."""
    (gap,) = played(lambda at: not 1.0 <= at < 1.3, answer=answer).take(3.0).gaps
    assert 0.28 <= gap.seconds <= 0.3 + answer + 0.01 and 1.0 <= gap.start <= 1.0 + answer
    assert gap.failed >= 30 - 100 * answer - 1


def test_attempts_that_fail_are_counted_in_their_gap() -> None:
    found = played(lambda at: not 1.0 <= at < 1.3).take(3.0)
    assert (found.failed, found.gaps[0].failed, found.error) == (30, 30, "no answer")


def test_a_gap_is_told_when_its_attempts_have_ended() -> None:
    gaps = played(lambda at: not 1.0 <= at < 1.3, seconds=1.4)
    assert gaps.take(1.4).gaps == ()
    for begun in range(100, 130):
        gaps.fail(begun / 100, "no answer")
    (gap,) = gaps.take(1.81).gaps
    assert gap.failed == 30
    assert gaps.take(9.0) == Target("tcp://db:1", 0, 0), "what was told is not told again"


def test_a_gap_that_is_not_over() -> None:
    gaps = played(lambda at: at < 2.0, seconds=2.7)
    assert gaps.take(2.7).down_seconds == 0.7 and gaps.take(2.8).gaps == ()
    (gap,) = gaps.take(2.9, last=True).gaps
    assert gap == Gap(2.0, 0.9, 21)


def test_gaps_apart() -> None:
    found = played(lambda at: not (0.5 <= at < 0.6 or 2.0 <= at < 2.25)).take(3.0)
    assert [(gap.start, round(gap.seconds, 2), gap.failed) for gap in found.gaps] == [(0.5, 0.1, 10), (2.0, 0.25, 25)]


def test_a_lost_packet_is_no_gap() -> None:
    found = played(lambda at: at not in (1.0, 1.5)).take(3.0)
    assert (found.failed, found.gaps) == (2, ())


def test_a_client_that_was_busy_found_no_gap() -> None:
    found = played(lambda at: True, pauses=((1.0, 2.0),)).take(3.0)
    assert (found.attempts, found.gaps) == (200, ())


@pytest.mark.parametrize(("late", "counts"), [(0.0, True), (0.08, True), (0.12, False)])
@pytest.mark.parametrize("before", [True, False])
def test_what_the_client_was_late_by_is_no_gap(late: float, counts: bool, before: bool) -> None:
    """Before it hears the answer, or before an attempt in between."""
    gaps = Gaps("tcp://db:1", 0.05, PATIENCE)
    gaps.begin(0.0)
    gaps.succeed(0.001)
    gaps.late(5.0)
    gaps.begin(1.0)
    if before:
        gaps.late(late)
    else:
        gaps.due = 1.15 - late
    gaps.succeed(1.15)
    assert [gap.seconds for gap in gaps.take(9.0).gaps] == ([0.15] if counts else [])


def test_refusals_end_at_once() -> None:
    gaps = Gaps("udp://db:1", 0.05, PATIENCE)
    for number in range(20):
        gaps.begin(number / 100)
        gaps.fail(number / 100, "Connection refused")
    gaps.begin(0.2)
    gaps.succeed(0.201)
    (gap,) = gaps.take(1.0).gaps
    assert gap == Gap(0.0, 0.201, 20)


def test_nobody_is_remembered_for_ever() -> None:
    gaps = played(lambda at: at % 0.2 < 0.1, seconds=20.0)
    assert len(gaps._over) == 99, "each gap waits to be taken"
    gaps.take(30.0)
    assert gaps._over == []
