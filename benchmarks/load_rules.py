# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Loads the rules of standard input into the kernel with the agent's own code: what is measured is what runs."""

from __future__ import annotations

import sys

from egress_router import config
from egress_router.kernel.fence import Fence
from egress_router.kernel.firewall import Firewall

from ansible_collections.egress.router.plugins.module_utils._contract.identity import VARIABLE, EgressAddress, Identity
from ansible_collections.egress.router.plugins.module_utils._contract.rules import parse
from ansible_collections.egress.router.plugins.module_utils._contract.sources import FIRST, SPREAD


def main() -> None:
    """Usage: load_rules.py POD_IP EGRESS_IP/PREFIX... < RULES. Connections are spread over several addresses."""
    pod_ip, *texts = sys.argv[1:]
    identity = Identity(
        router="bench",
        addresses=tuple(map(EgressAddress, texts)),
        mac="02:e6:c6:33:64:32",
        source=SPREAD if len(texts) > 1 else FIRST,
    )
    environment = {"POD_IPS": pod_ip, "POD_NAMESPACE": "bench", "POD_NAME": "bench", "NODE_NAME": "bench"}
    fence = Fence()
    Firewall(config.load({**environment, VARIABLE: identity.to_json()}), fence).apply(parse(sys.stdin.read()))
    # For ever, as a router of one replica serves; without it nothing is forwarded.
    number = fence.permit(None)
    fence.grant(number, number)


if __name__ == "__main__":
    main()
