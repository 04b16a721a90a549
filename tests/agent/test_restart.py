# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An agent that was killed starts again in the same pod, and finds in the kernel what the one before left."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.egress.router.tests.support.fake_agent_api import FakeApi
from ansible_collections.egress.router.tests.support.router_pod import EGRESS4, MAC, TERMINATED, Router, Stream, ask
from ansible_collections.egress.router.tests.support.waiting import always, until

RULES = "5432 TCP 203.0.113.10\n"


def test_a_killed_agent_takes_up_again(make_pod) -> None:
    """As the kubelet restarts a container: same pod, same namespaces."""
    pod = make_pod()
    original = pod.mac()
    pod.put_rules(RULES)
    pod.serve()
    stream = Stream(pod.ip4, 5432)
    before = pod.rule(5432, "TCP")
    pod.kill()
    assert stream.echoes(), "the kernel forwards on while the agent is dead"
    assert ask(pod.ip4, 5432)["source_ip"] == EGRESS4
    renewed = pod.lease()["spec"]["renewTime"]
    pod.start()
    until(lambda: pod.lease()["spec"]["renewTime"] != renewed, "the lease is renewed again")
    assert "adopted=True" in pod.log() and pod.log().count("event=address-taken") == 1
    assert stream.echoes(), "the connection went on over the restart"
    after = pod.rule(5432, "TCP")
    assert after["connections"] == before["connections"] + 1 and after["packets"] > before["packets"]
    assert pod.lease()["spec"]["leaseTransitions"] == 1
    stream.close()
    # Its original MAC address is still known.
    assert pod.terminate() < TERMINATED
    assert pod.mac() == original


def test_a_killed_agent_adopts_without_the_api_server(make_pod, api: FakeApi) -> None:
    pod = make_pod()
    pod.put_rules(RULES)
    pod.serve()
    stream = Stream(pod.ip4, 5432)
    pod.kill()
    api.stop()
    pod.start()
    until(lambda: "adopted=True" in pod.log(), "it adopted")
    until(lambda: _page(pod) == 200, "ready without the API server", 5)
    always(stream.echoes, "the connection goes on", 4.0)
    assert pod.loaded()["rules"][0]["port"] == 5432
    api.start()
    pod.wait_serving(8)
    assert stream.echoes()
    stream.close()


def test_a_killed_agent_of_two_replicas_gives_up_when_it_cannot_renew(make_pod, api: FakeApi) -> None:
    pod = make_pod()
    pod.replicas = 2
    pod.serve()
    pod.kill()
    api.stop()
    pod.start()
    until(lambda: "adopted=True" in pod.log(), "it adopted")
    until(lambda: pod.addresses_on_net1() == set() and pod.mac() != MAC, "address and MAC are gone", 3)
    api.start()
    pod.wait_serving(8)


def test_changed_rules_while_the_agent_was_dead(make_pod) -> None:
    pod = make_pod()
    pod.put_rules(RULES + "5433 TCP 203.0.113.10\n")
    pod.serve()
    staying, revoked = Stream(pod.ip4, 5432), Stream(pod.ip4, 5433)
    pod.kill()
    version = pod.put_rules(RULES)
    pod.start()
    until(lambda: pod.status().rules_version == version, "the new rules")
    assert staying.echoes() and not revoked.echoes()
    staying.close()


def test_connections_that_a_killed_agent_did_not_cut(make_pod) -> None:
    """It was killed after it had loaded other rules."""
    pod = make_pod()
    pod.put_rules(RULES + "5433 TCP 203.0.113.10\n5433 TCP 2001:db8:113::10\n")
    pod.serve()
    streams = [Stream(pod.ip4, 5432), Stream(pod.ip4, 5433), Stream(pod.ip6, 5433)]
    pod.kill()
    for family, server in ((4, "203.0.113.11"), (6, "2001:db8:113::11")):
        pod.run(f"nft delete element inet egress_router redirect{family} {{ 6 . 5433 }}")
        pod.run(f"nft add element inet egress_router redirect{family} {{ 6 . 5433 : {server} . 5433 }}")
    pod.put_rules(RULES + "5433 TCP 203.0.113.11\n5433 TCP 2001:db8:113::11\n")
    pod.start()
    until(lambda: "event=strays-cut connections=2" in pod.log(), "the two were cut")
    assert [stream.echoes() for stream in streams] == [True, False, False]
    for stream in streams:
        stream.close()


@pytest.mark.parametrize(
    ("thread", "kind", "name", "odd"),
    # No API server would take them.
    [("main", "configmaps", "billing-db-rules", {"data": {"rules": 5}}),
     ("lease", "leases", "billing-db", {"spec": {"leaseTransitions": "many"}})],
)  # fmt: skip
def test_an_unexpected_error_ends_the_process_and_the_kernel_goes_on(
    make_pod, thread: str, kind: str, name: str, odd: dict[str, Any]
) -> None:
    pod = make_pod()
    pod.put_rules(RULES)
    pod.serve()
    stream = Stream(pod.ip4, 5432)
    right = pod.api.get(kind, name)
    pod.api.put(kind, name, odd)
    assert pod.process is not None
    assert pod.process.wait(10) == 1
    assert f"event=crashed thread={thread} error=" in pod.log()
    assert stream.echoes(), "the kernel forwards on"
    pod.api.put(kind, name, right)
    pod.start()
    until(lambda: "adopted=True" in pod.log(), "it adopted")
    until(lambda: _page(pod) == 200, "ready", 5)
    assert stream.echoes()
    stream.close()


def _page(pod: Router) -> int:
    try:
        return pod.get("/readyz")[0]
    except OSError:
        return 0
