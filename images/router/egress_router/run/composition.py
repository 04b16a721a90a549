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

from ansible_collections.egress.router.plugins.module_utils._contract.identity import VARIABLE
from ansible_collections.egress.router.plugins.module_utils._contract.names import AGENT_PORT

from .. import config
from ..config import Config, ConfigError
from ..kernel.fence import Fence as KernelFence
from ..kernel.firewall import Firewall
from ..kernel.network import Network
from . import life, web
from .address import EgressAddress
from .agent import Agent
from .kube import ApiError, ApiServer, Kube
from .lease import Elector, Fence
from .metrics import Metrics
from .reporter import Reporter
from .rules import Rules

# (connect, read) of a request; less with a lease that is renewed more often than that.
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
    stop, wake = threading.Event(), threading.Event()
    kube = Kube(server, settings.namespace, settings.router, _api_timeout(settings))
    kernel_fence = KernelFence()
    firewall = Firewall(settings, kernel_fence)
    fence = Fence()
    elector = Elector(kube, settings, fence, kernel_fence)
    reporter = Reporter(settings, kube, elector, wake.set)
    rules = Rules(settings, firewall)
    address = EgressAddress(settings, Network(settings), elector, reporter, rules, stop)
    agent = Agent(settings, rules, address, elector, reporter, stop, wake)

    def fall() -> None:
        address.fall()
        wake.set()

    pages = web.Pages(agent, address, firewall, Metrics(rules, address, elector, reporter))
    web.serve(pages, settings.pod_ips, AGENT_PORT)
    fence.expire = fall
    fence.start()
    agent.run(kube)


def _use_one_arena() -> None:
    """Have glibc keep freed memory in one place for all threads: with 5,000 rules that saves a fifth of it."""
    with contextlib.suppress(AttributeError, OSError):
        # M_ARENA_MAX of malloc.h
        ctypes.CDLL(None).mallopt(-8, 1)


def _api_timeout(settings: Config) -> tuple[float, float]:
    connect, read = (min(seconds, max(settings.renew_seconds, 0.5)) for seconds in API_TIMEOUT)
    return connect, read
