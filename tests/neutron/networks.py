"""Makes the networks of the tests on running servers: networks.py NAME..."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from cloud import make_networks
from egress_neutron.settings import INSTANCES

with ThreadPoolExecutor() as pool:
    list(pool.map(make_networks, (INSTANCES[name] for name in sys.argv[1:])))
