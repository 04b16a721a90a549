# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A router of the list as an object: written, read, and edited by hand."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ansible_collections.egress.router.plugins.module_utils._common.errors import InputError
from ansible_collections.egress.router.plugins.module_utils._router_list.entry import Entry, read_entry

ROUTER = {
    "name": "billing-db",
    "namespace": "payments",
    "addresses": [{"ip": "198.51.100.50/24"}],
    "redirect_rules": [{"port": 5432, "protocol": "TCP", "destination_ip": "203.0.113.10"}],
}


def stored(entry: Entry) -> dict[str, Any]:
    """As an API server has it."""
    body = copy.deepcopy(entry.body())
    body["metadata"].update(namespace="egress-routers", resourceVersion="7", uid="u")
    return body


def test_an_object_is_read_as_it_was_written() -> None:
    body = stored(Entry(ROUTER))
    assert body["metadata"]["name"] == "egress-router.payments.billing-db"
    assert body["metadata"]["labels"] == {
        "app.kubernetes.io/name": "egress-router-list",
        "app.kubernetes.io/managed-by": "egress.router",
    }
    found = read_entry(body)
    assert (found.router, found.key, found.absent) == (ROUTER, ("payments", "billing-db"), False)


def test_the_document_is_what_people_write() -> None:
    assert stored(Entry(ROUTER))["data"]["router.yml"] == (
        "name: billing-db\n"
        "namespace: payments\n"
        "addresses:\n"
        "  - ip: 198.51.100.50/24\n"
        "redirect_rules:\n"
        "  - port: 5432\n"
        "    protocol: TCP\n"
        "    destination_ip: 203.0.113.10\n"
    )


def test_what_others_have_added_to_an_object_stays() -> None:
    body = stored(Entry(ROUTER))
    body["metadata"]["annotations"] = {"example.com/ticket": "17"}
    body["metadata"]["labels"]["team"] = "payments"
    body["data"]["notes.txt"] = "of a colleague"
    after = read_entry(body).changed({"state": "absent"}).body()
    assert after["metadata"]["annotations"] == {"example.com/ticket": "17"}
    assert after["metadata"]["labels"]["team"] == "payments"
    assert (after["data"]["notes.txt"], after["metadata"]["resourceVersion"]) == ("of a colleague", "7")
    assert read_entry(after).absent


def test_changes_of_keys() -> None:
    entry = Entry(ROUTER).changed({"mtu": 1400, "redirect_rules": None})
    assert entry.router == {
        "name": "billing-db",
        "namespace": "payments",
        "addresses": ROUTER["addresses"],
        "mtu": 1400,
    }
    assert ROUTER["redirect_rules"], "the router before is left alone"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: [", "router.yml is not YAML"),
        ("", "router.yml has no router, which is a dictionary"),
        ("- name: a", "router.yml has no router"),
        (
            "name: other\nnamespace: payments",
            "has router payments/other, whose ConfigMap is egress-router.payments.other",
        ),
        ("{}", "router.yml has router /"),
        (None, "router.yml has no router"),
    ],
)
def test_an_object_that_somebody_has_edited(text: str | None, said: str) -> None:
    body = stored(Entry(ROUTER))
    body["data"] = {} if text is None else {"router.yml": text}
    with pytest.raises(InputError) as told:
        read_entry(body)
    assert str(told.value).startswith("ConfigMap egress-routers/egress-router.payments.billing-db: ")
    assert said in str(told.value) and "correct it, or delete the ConfigMap" in str(told.value)


def test_an_object_without_files() -> None:
    body = stored(Entry(ROUTER))
    del body["data"]
    with pytest.raises(InputError, match="has no router"):
        read_entry(body)
