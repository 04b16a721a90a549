# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest

from ansible_collections.egress.router.plugins.module_utils._contract.inspect import (
    Answer,
    AnswerError,
    Cni,
    Conntrack,
    EgressAddress,
    Interface,
    Nft,
    Occupancy,
    Question,
    QuestionError,
)

QUESTION = Question(
    masters=("eth1",),
    targets=(EgressAddress("198.51.100.50", "02:e6:c6:33:64:32", "198.51.100.1", "eth1", ("198.51.100.2",)),),
    timeout=3.0,
    cni_directory="/var/lib/cni/bin",
)
ANSWER = Answer(
    node="worker-1",
    kernel="6.1.0",
    interfaces={"eth1": Interface("eth1", exists=True, mac="02:00:00:00:00:11", unicast_filter=("02:e6:00:00:00:01",))},
    targets=(
        Occupancy(
            "198.51.100.50",
            "02:e6:c6:33:64:32",
            "eth1",
            gateway_mac="02:00:5e:00:53:01",
            silent_route_gateways=("198.51.100.2",),
        ),
    ),
    nft=Nft(usable=True, concat_maps=True),
    relay_error="there are no VXLAN interfaces",
    conntrack=Conntrack(max=262144, count=12),
    sysctl={"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": None},
    cni=Cni("/opt/cni/bin", ("macvlan", "tuning")),
)


def test_a_question_is_read_as_it_was_written() -> None:
    assert Question.from_json(QUESTION.to_json()) == QUESTION
    assert Question.from_json("{}") == Question()


def test_an_answer_is_read_as_it_was_written() -> None:
    assert Answer.from_json(ANSWER.to_json()) == ANSWER
    assert Answer.from_json(Answer().to_json()) == Answer()


def test_what_a_log_has_before_the_answer_does_not_matter() -> None:
    assert Answer.from_json(f"a warning\n{ANSWER.to_json()}\n") == ANSWER


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("eth1", "the question 'eth1' cannot be read: "),
        ("[]", "cannot be read"),
        ('{"targets": [{"ip": "198.51.100.50"}]}', "missing 1 required positional argument: 'mac'"),
        ('{"timeout": "soon"}', "could not convert string to float"),
        ('{"master": "eth1"}', "unexpected keyword argument 'master'"),
    ],
)
def test_a_question_that_cannot_be_read(text: str, reason: str) -> None:
    with pytest.raises(QuestionError, match=reason):
        Question.from_json(text)


@pytest.mark.parametrize("text", ["", "Traceback: no", "[]", '{"schema": 1}', '{"schema": 1, "node": 5}'])
def test_an_answer_that_cannot_be_read(text: str) -> None:
    with pytest.raises(AnswerError, match="did not print what egress-router inspect prints"):
        Answer.from_json(text)


def test_an_answer_of_another_release() -> None:
    other = json.dumps({**json.loads(ANSWER.to_json()), "schema": 2})
    with pytest.raises(AnswerError, match="version 2 of the schema instead of 1"):
        Answer.from_json(other)


def test_an_answer_with_a_field_that_nobody_knows() -> None:
    data = json.loads(ANSWER.to_json())
    data["nft"]["colour"] = "red"
    with pytest.raises(AnswerError):
        Answer.from_json(json.dumps(data))


def test_how_many_mac_addresses_an_interface_receives_for() -> None:
    assert ANSWER.interfaces["eth1"].macs == 2
    assert Interface("eth1", exists=True).macs == 0
    assert Interface("eth9").macs is None
