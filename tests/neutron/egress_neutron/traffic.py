"""The traffic tier: Neutron with a message queue and an agent, in a network namespace that is the hypervisor.

Port security is then not only stored but obeyed. tests/neutron/README.md has a picture.
"""

from __future__ import annotations

import shutil
import sys
import time

from egress_lab import packages
from egress_support import process

from . import agent, database, hypervisor, namespace, rabbitmq, stack, venv
from .settings import CACHE, Instance

# Not in instance.state, which stack.up makes anew.
_STATE = CACHE / "run-traffic-hypervisor"
_PACKAGES = {
    str(rabbitmq.SERVER): "rabbitmq-server",
    **{name: name for name in ("ipset", "ebtables", "iptables", "conntrack")},
}


def up(instance: Instance) -> None:
    """Starts everything anew, and connects it to the lab's segment. The lab's nodes stay where they are."""
    packages.ensure(_PACKAGES)
    venv.ensure(instance.release)
    database.install()
    down(instance)
    began = time.monotonic()
    _STATE.mkdir(parents=True)
    try:
        namespace.make()
        hypervisor.connect()
        with namespace.inside():
            rabbitmq.start(_STATE)
            stack.up(instance)
            agent.start(instance, _STATE)
        relay = [sys.executable, "-m", "egress_neutron.relay", str(instance.port), str(instance.port + 1)]
        process.start(_STATE, "relay", relay, {})
    except BaseException:
        down(instance)
        raise
    process.say(f"neutron: {instance.name} with its agent up in {time.monotonic() - began:.1f} s")


def down(instance: Instance) -> None:
    """Gives the lab's nodes back to the segment and stops everything, that of a killed run too."""
    hypervisor.unplug_all()
    if _STATE.exists():
        process.stop_all(_STATE)
        shutil.rmtree(_STATE)
    stack.down(instance)
    namespace.remove()
