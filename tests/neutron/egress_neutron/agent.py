"""The Linux bridge agent: it makes port security true on the hypervisor, with iptables and ebtables."""

from __future__ import annotations

from pathlib import Path

from egress_support import process

from . import namespace
from .network import Network
from .settings import Instance

HOST = "hypervisor"
PHYSICAL_NETWORK = "egress-segment"
_PRIVSEP = (
    "privsep",
    "privsep_link",
    "privsep_conntrack",
    "privsep_namespace",
    "privsep_dhcp_release",
    "privsep_ovs_vsctl",
)


def start(instance: Instance, state: Path) -> None:
    binaries = instance.release.venv / "bin"
    helpers = "".join(f"[{name}]\nhelper_command = {binaries}/privsep-helper\n" for name in _PRIVSEP)
    (state / "agent.ini").write_text(f"""[DEFAULT]
host = {HOST}
[linux_bridge]
physical_interface_mappings = {PHYSICAL_NETWORK}:{namespace.PHYSICAL}
[vxlan]
enable_vxlan = false
[securitygroup]
firewall_driver = iptables
enable_ipset = true
[agent]
polling_interval = 1
root_helper = env
{helpers}""")
    files = [f"--config-file={instance.state / 'neutron.conf'}", f"--config-file={state / 'agent.ini'}"]
    # "ip netns exec" and not only the namespace: the agent looks for interfaces in /sys, which has to be the namespace's.
    command = ["ip", "netns", "exec", namespace.NAME, str(binaries / "neutron-linuxbridge-agent"), *files]
    process.start(state, "agent", [*command, f"--log-file={state}/agent-details.log"], {})
    # Neutron binds a port only to a host whose agent it has heard of.
    process.wait_for("Neutron's agent", state, "agent", lambda: _known(instance))


def _known(instance: Instance) -> bool:
    return any(agent["alive"] and agent["host"] == HOST for agent in Network(instance).list("agents"))
