# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest

from ansible_collections.egress.router.plugins.module_utils._contract.probe import (
    Observation,
    Observed,
    Result,
    ResultsError,
    Seconds,
    from_json,
    to_json,
)

OBSERVATION = Observation("198.51.100.50", 40000, "02:e6:c6:33:64:32", "203.0.113.10", 5432, "TCP")
RESULT = Result(
    target="tcp://10.244.0.11:5432",
    attempts=3,
    connected=2,
    refused=0,
    timed_out=1,
    failed=0,
    errors=("no answer in 3 s",),
    seconds=Seconds(0.001, 0.002, 0.003),
    observed=(Observed(**vars(OBSERVATION), count=2),),
)
HELD = Result("tcp://10.244.0.11:5432", 1, 1, 0, 0, 0, (), Seconds(0.1, 0.1, 0.1), (), 1.5, False)


def test_results_are_read_as_they_were_written() -> None:
    assert from_json(to_json([RESULT, HELD])) == [RESULT, HELD]


def test_holding_is_told_only_if_it_was_asked_for() -> None:
    assert {"held_seconds", "interrupted"}.isdisjoint(RESULT.as_dict())
    assert (HELD.as_dict()["held_seconds"], HELD.as_dict()["interrupted"]) == (1.5, False)


def test_a_result_as_users_see_it() -> None:
    assert RESULT.as_dict() == json.loads(to_json([RESULT]))["results"][0]
    assert Result.from_dict(RESULT.as_dict()) == RESULT


@pytest.mark.parametrize("text", ["", "nothing", "{}", '{"results": [{}]}', '{"results": 5}'])
def test_what_is_no_result(text: str) -> None:
    with pytest.raises(ResultsError, match="did not print the results"):
        from_json(text)


def test_an_observation_is_read_as_it_was_written() -> None:
    assert Observation.from_json(OBSERVATION.to_json().encode()) == OBSERVATION


@pytest.mark.parametrize("text", [b"", b"SSH-2.0-OpenSSH\r\n", b"5", b"[]", b"\xff", b'{"source_ip": "198.51.100.50"}'])
def test_a_server_that_does_not_observe(text: bytes) -> None:
    assert Observation.from_json(text) is None
