# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Access to the API server as the kubelet gives it to a pod: address, certificate authority, and a token that expires."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from egress_router.run.kube import ApiError, ApiServer

from ansible_collections.egress.router.tests.support.fake_agent_api import FakeApi
from ansible_collections.egress.router.tests.support.router_pod import Router, prepare
from ansible_collections.egress.router.tests.support.waiting import until


def renewal(pod: Router) -> str:
    return str(pod.lease()["spec"].get("renewTime"))


def test_a_renewed_token_is_used(make_pod, api: FakeApi) -> None:
    pod = make_pod().serve()
    api.new_token()
    # One that was read just before may fail once.
    before = renewal(pod)
    until(lambda: renewal(pod) != before, "the lease is renewed with the new token")
    assert pod.status().serving
    # The watch was made with the old one.
    api.stop()
    api.start()
    pod.set_rules("5432 TCP 203.0.113.10\n")


def test_a_token_that_is_refused(make_pod, api: FakeApi) -> None:
    token = (api.folder / "token").read_text()
    (api.folder / "token").write_text("expired")
    pod = make_pod().start()
    until(lambda: "401 Unauthorized" in pod.log(), "the log says that the token is refused")
    assert pod.holder() == "" and pod.get("/readyz")[0] == 503
    (api.folder / "token").write_text(token)
    pod.wait_serving()


def test_a_server_that_the_authority_does_not_know_gets_no_token(make_pod, api: FakeApi, tmp_path: Path) -> None:
    right = tmp_path / "right.crt"
    shutil.copy(api.folder / "ca.crt", right)
    other = FakeApi("pods", "10.244.0.1", 7999, tmp_path)
    other.stop()
    shutil.copy(tmp_path / "ca.crt", api.folder / "ca.crt")
    before = len(api.requests)
    pod = make_pod().start()
    until(lambda: "certificate verify failed" in pod.log(), "the log says that the certificate is not trusted")
    assert len(api.requests) == before
    # The kubelet renews the authority too.
    shutil.copy(right, api.folder / "ca.crt")
    pod.wait_serving()


def test_an_api_server_with_an_ipv6_address(make_pod, tmp_path: Path) -> None:
    fake = FakeApi("pods", "2001:db8:244::1", 7998, tmp_path)
    prepare(fake)
    pod = make_pod()
    pod.api = fake
    pod.serve()
    fake.stop()
    assert fake.refused == []


def test_odd_answers_are_problems_that_end(make_pod, api: FakeApi) -> None:
    """Something between the agent and the API server may answer anything."""
    pod = make_pod().serve()
    api.odd = True
    try:
        api.stop()
        api.start()
        for name in ("watch-failed", "lease-failed"):
            until(lambda name=name: f"event={name} error=" in pod.log().split("serving")[-1], f"{name} is logged")
        until(lambda: "answered with something else" in pod.log(), "the log says why")
    finally:
        api.odd = False
    pod.set_rules("5432 TCP 203.0.113.10\n")
    assert pod.get("/healthz") == (200, "ok\n")


@pytest.mark.parametrize("missing", ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"])
def test_outside_of_a_cluster(missing: str) -> None:
    environment = {"KUBERNETES_SERVICE_HOST": "192.0.2.1", "KUBERNETES_SERVICE_PORT": "443"}
    assert ApiServer.in_cluster(environment).url == "https://192.0.2.1:443"
    del environment[missing]
    with pytest.raises(ApiError, match="this is not a pod"):
        ApiServer.in_cluster(environment)
