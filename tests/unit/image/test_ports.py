# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which source ports each pod of a router uses."""

from __future__ import annotations

import itertools

import pytest

from ansible_collections.egress.router.images.router.egress_router.kernel import ports


@pytest.mark.parametrize("replicas", [1, 2, 3, 4, 5, 50])
def test_parts_do_not_overlap(replicas: int) -> None:
    parts = ports.parts(replicas)
    assert len(parts) == min(replicas, 4)
    assert parts[0][0] == 1024 and parts[-1][1] >= 65532
    assert all(before[1] + 1 == after[0] for before, after in itertools.pairwise(parts))
    assert len({last - first for first, last in parts}) == 1


def test_one_replica_has_all() -> None:
    assert ports.parts(1) == [ports.ALL] and ports.choose(1, ports.ALL, [2000]) == ports.ALL


def test_two_pods_take_turns() -> None:
    low, high = ports.parts(2)
    assert ports.choose(2, low, []) == low and ports.choose(2, high, []) == high
    assert ports.choose(2, low, [low[1]]) == high and ports.choose(2, high, [high[0]]) == low
    assert ports.choose(2, ports.ALL, []) == low, "from one replica to two"


def test_a_third_pod_of_two_takes_what_is_used_least() -> None:
    low, high = ports.parts(2)
    assert ports.choose(2, low, [low[0], low[1], high[0]]) == high
    assert ports.choose(2, high, [low[0], high[0]]) == high


def test_a_part_that_is_closed_is_not_taken() -> None:
    low, high = ports.parts(2)
    assert ports.choose(2, high, [high[0], high[1]], [low]) == high
    assert ports.choose(2, low, [], [(low[1], high[0] - 1)]) == high
    assert ports.choose(1, ports.ALL, [], [ports.ALL]) == ports.ALL, "there is nothing else"


def test_new_connections_of_others_count_more_than_many_that_are_known() -> None:
    low, high = ports.parts(2)
    many = list(range(high[0], high[0] + 3000))
    assert ports.choose(2, low, [low[0], *many]) == low
    assert ports.choose(2, low, [low[0], *many], [], [(low, 8.0)]) == high
    assert ports.choose(2, low, [low[0], *many], [], [(low, 8.0), (high, 5.0)]) == high, "it is over first"
    assert ports.choose(2, low, [low[0], *many], [high], [(low, 8.0)]) == low, "what is closed is not taken"


def test_three_pods_have_parts_of_their_own() -> None:
    first, second, third = ports.parts(3)
    assert ports.choose(3, first, [first[0], second[0]]) == third


@pytest.mark.parametrize("replicas", [1, 2, 3, 4, 5])
def test_the_parts_of_ports_by_number(replicas: int) -> None:
    every = ports.parts(replicas)
    assert ports.part_numbers(replicas, []) == 0
    for number, (first, last) in enumerate(every):
        assert ports.part_numbers(replicas, [first]) == ports.part_numbers(replicas, [last, first]) == 1 << number
    assert ports.part_numbers(replicas, [first for first, _last in every]) == (1 << len(every)) - 1
