"""A running cloud as the tests use it: ports of pretended servers, and the module on them."""

from __future__ import annotations

import functools
import importlib
import json
import os
import uuid
from pathlib import Path
from typing import Any

import openstack
import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from egress_neutron.keystone import clouds_file
from egress_neutron.settings import Instance

PLAYBOOKS = Path(__file__).parent / "playbooks"
ADDRESS = {"ip_address": "198.51.100.50", "mac_address": "02:e6:c6:33:64:32"}
ADDRESS6 = {"ip_address": "2001:db8:0:50::50", "mac_address": "02:e6:c6:33:64:32"}
# Somebody else's, spelled in ways that nobody may tidy up.
FOREIGN = [
    {"ip_address": "198.51.100.7/32", "mac_address": "FA:16:3E:00:00:07"},
    {"ip_address": "198.51.100.5", "mac_address": "fa-16-3e-00-00-05"},
    {"ip_address": "2001:DB8:0:50:0::9", "mac_address": "fa:16:3e:00:00:09"},
    {"ip_address": "203.0.113.9/24", "mac_address": "fa:16:3e:00:00:0A"},
]


class Cloud:
    """One instance with its networks."""

    def __init__(self, instance: Instance, capsys: pytest.CaptureFixture[str] | None = None) -> None:
        self.instance = instance
        self.file = clouds_file(instance)
        os.environ["OS_CLIENT_CONFIG_FILE"] = str(self.file)
        self.admin = admin_of(instance)
        self.network = self.admin.network.find_network("egress")
        self.capsys = capsys

    def server(self, network: str = "egress", address: str | None = None, **fields: Any) -> Any:
        """A port of a new server, whose id is its device_id."""
        if address:
            fields["fixed_ips"] = [{"ip_address": address}]
        fields = {"device_id": str(uuid.uuid4()), "device_owner": "compute:nova", "name": "node", **fields}
        return self.admin.network.create_port(network_id=self.admin.network.find_network(network).id, **fields)

    def pairs(self, port: Any) -> list[dict[str, str]]:
        """The pairs that Neutron has now, as it has them."""
        return list(self.admin.network.get_port(port.id).allowed_address_pairs)

    def revision(self, port: Any) -> int:
        return int(self.admin.network.get_port(port.id).revision_number)

    def settings(self, name: str = "admin") -> dict[str, Any]:
        """A cloud of clouds.yaml as the dictionary that the option cloud takes."""
        found: dict[str, Any] = yaml.safe_load(self.file.read_text())["clouds"][name]
        return found

    def run(
        self, check: bool = False, module: str = "openstack_allowed_address_pair", **options: Any
    ) -> dict[str, Any]:
        """Runs the module in this process, which has to work, and returns what it printed."""
        result = self._run(check, module, options)
        assert not result.get("failed"), result
        return result

    def fails(self, check: bool = False, module: str = "openstack_allowed_address_pair", **options: Any) -> str:
        """Runs the module, which has to fail, and returns its words."""
        result = self._run(check, module, options)
        assert result.get("failed"), result
        return str(result["msg"])

    def _run(self, check: bool, module: str, options: dict[str, Any]) -> dict[str, Any]:
        assert self.capsys is not None
        found = importlib.import_module(f"ansible_collections.egress.router.plugins.modules.{module}")
        given = {"cloud": "admin", "_ansible_check_mode": check, "_ansible_diff": True, **options}
        given = {key: value for key, value in given.items() if value is not None}
        with patch_module_args(given), pytest.raises(SystemExit) as left:
            found.main()
        result: dict[str, Any] = json.loads(self.capsys.readouterr().out)
        assert bool(left.value.code) == bool(result.get("failed")), result
        return result


@functools.cache
def admin_of(instance: Instance) -> Any:
    """One connection for all tests: a new one asks for a token and for the versions of everything."""
    settings = yaml.safe_load(clouds_file(instance).read_text())["clouds"]["admin"]
    return openstack.connect(**settings)


def make_networks(instance: Instance) -> None:
    """`egress` is the segment of the egress addresses. Of IPv4, those from 200 on are for tests to choose, of IPv6 those up to ::fff.

    Neutron allocates at random.
    """
    admin = admin_of(instance)
    # Without Keystone there are no projects.
    owner = {} if instance.release.noauth else {"project_id": admin.identity.find_project("owner").id}
    pool4 = [{"start": "198.51.100.2", "end": "198.51.100.199"}]
    pool6 = [{"start": "2001:db8:0:50::1000", "end": "2001:db8:0:50::ffff"}]
    subnets: dict[str, list[dict[str, Any]]] = {
        "egress": [
            {"cidr": "198.51.100.0/24", "allocation_pools": pool4},
            {"cidr": "2001:db8:0:50::/64", "allocation_pools": pool6},
        ],
        "office": [{"cidr": "203.0.113.0/24"}],
    }
    for name, fields in subnets.items():
        network = admin.network.create_network(name=name, is_shared=True, **owner)
        for subnet in fields:
            version = 6 if ":" in subnet["cidr"] else 4
            admin.network.create_subnet(
                network_id=network.id, ip_version=version, is_dhcp_enabled=False, **subnet, **owner
            )
