# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`egress-router run`: makes the parts of the agent, gives each what it needs, and runs them."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Sequence

from ansible_collections.egress.router.plugins.module_utils._contract.failover import BEAT_PORT
from ansible_collections.egress.router.plugins.module_utils._contract.identity import VARIABLE
from ansible_collections.egress.router.plugins.module_utils._contract.names import AGENT_PORT

from .. import config
from ..config import Config, ConfigError
from ..failover.channel import Channel
from ..kernel.fence import Fence
from ..kernel.firewall import Firewall
from ..kernel.network import Network
from . import life, web
from .address import EgressAddress
from .agent import Agent
from .driver import Driver
from .keys import Keys
from .kube import ApiError, ApiServer, Kube
from .lease import Leases
from .metrics import Metrics
from .publisher import Publisher
from .question import Question
from .relay import Relay
from .rules import Rules
from .take_over import TakeOvers

# (connect, read) of a request; less with a short lease, because the protocol waits for an answer no longer than a fifth of it.
API_TIMEOUT = (2.0, 3.0)
# The main thread waits so long for each thread that computes, which the web server's do as long as anybody asks: with Python's
# own 0.005, a changed rule waited up to a second when many did.
SWITCH_SECONDS = 0.0005


def main(arguments: Sequence[str]) -> int:
    """Run the agent until SIGTERM; 2 if the environment does not say what it needs."""
    parser = argparse.ArgumentParser(
        prog="egress-router run",
        description=f"Run the agent of a router's pod. It has no options: the environment variable {VARIABLE} "
        "says which router it is, and the downward API which pod.",
    )
    parser.parse_args(arguments)
    try:
        settings = config.load(os.environ)
        server = ApiServer.in_cluster(os.environ)
    except (ConfigError, ApiError) as error:
        parser.error(str(error))
    life.end_with_any_thread()
    sys.setswitchinterval(SWITCH_SECONDS)
    _use_one_arena()
    try:
        run(settings, server)
    except Exception as error:
        life.crash("main", error)
    # Threads may still hang in requests, and there is nothing left to clean up.
    os._exit(0)


def run(settings: Config, server: ApiServer) -> None:
    """Compose the agent and run it until SIGTERM."""
    stop = threading.Event()
    kube = Kube(server, settings.namespace, settings.router, _api_timeout(settings))
    fence = Fence()
    firewall = Firewall(settings, fence)
    network = Network(settings)
    keys, take_overs = Keys(), TakeOvers()
    router = f"{settings.namespace}/{settings.router}"
    channel = Channel(settings.pod_ips[0], BEAT_PORT, router, settings.pod, keys)
    question = Question(settings, network, fence, stop)
    driver = Driver(settings, channel, keys.check, fence, question, take_overs)
    publisher = Publisher(settings, kube, lambda: fence.serves)
    rules = Rules(settings, firewall)
    address = EgressAddress(settings, network, fence, driver, question, take_overs, publisher, rules)
    relay = Relay(settings, fence, firewall, channel, driver)
    agent = Agent(settings, fence, rules, address, driver, take_overs, publisher, relay, stop)
    metrics = Metrics(firewall, rules, address, driver, take_overs, publisher, relay)
    web.serve(web.Pages(agent, address, firewall, metrics), settings.pod_ips, AGENT_PORT)
    agent.run(kube, Leases(kube, settings, driver.answered))


def _use_one_arena() -> None:
    """Have glibc keep freed memory in one place for all threads: with 5,000 rules that saves a fifth of it."""
    with contextlib.suppress(AttributeError, OSError):
        # M_ARENA_MAX of malloc.h
        ctypes.CDLL(None).mallopt(-8, 1)


def _api_timeout(settings: Config) -> tuple[float, float]:
    connect, read = (min(seconds, max(settings.failover.lease_seconds / 5, 0.5)) for seconds in API_TIMEOUT)
    return connect, read
