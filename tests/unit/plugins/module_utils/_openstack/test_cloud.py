# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection options are the neighbour's; errors are told by Neutron's types, not by its sentences."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from ansible_collections.openstack.cloud.plugins.module_utils.openstack import openstack_full_argument_spec

from ansible_collections.egress.router.plugins.module_utils._common.errors import ApiError, Conflict, EgressError
from ansible_collections.egress.router.plugins.module_utils._openstack.cloud import AUTH_SPEC, _http_error


def test_the_options_are_those_of_openstack_cloud() -> None:
    theirs = openstack_full_argument_spec()
    # Ours waits for nothing and writes no logs.
    for unused in ("wait", "timeout", "sdk_log_path", "sdk_log_level"):
        theirs.pop(unused)
    # Ours registers each secret in it, so that messages may contain the URL.
    theirs["auth"]["no_log"] = False
    assert {name: {"type": "str", **option} for name, option in theirs.items()} == AUTH_SPEC


@pytest.mark.parametrize(
    ("status", "kind", "raised", "said"),
    [
        (409, "AddressPairAndPortSecurityRequired", Conflict, "its port security was disabled meanwhile"),
        (400, "AllowedAddressPairExhausted", ApiError, "max_allowed_address_pair limits the pairs"),
        (409, "IpAddressInUse", ApiError, "cannot change it: Neutron answered 409: in Neutron's words"),
        (412, "RevisionNumberConstraintFailed", Conflict, "it was changed by others at the same time"),
        (400, "HTTPBadRequest", ApiError, "Neutron answered 400: in Neutron's words"),
    ],
)
def test_the_type_of_an_error_counts(status: int, kind: str, raised: type[EgressError], said: str) -> None:
    body = json.dumps({"NeutronError": {"type": kind, "message": "in Neutron's words.", "detail": ""}})
    error = SimpleNamespace(status_code=status, response=SimpleNamespace(text=body), details="", message="")
    found = _http_error(error, "change it", str)
    assert found.__class__ is raised
    assert said in str(found)


def test_an_answer_that_is_not_neutrons() -> None:
    error = SimpleNamespace(status_code=418, response=SimpleNamespace(text="<html>"), details="", message="a teapot")
    assert "Neutron answered 418: a teapot" in str(_http_error(error, "change it", str))
