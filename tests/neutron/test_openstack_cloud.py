"""Side by side: openstack.cloud.port and ours on the same port, which has two pairs of others."""

from __future__ import annotations

import json
import os
import subprocess

from ansible_collections.openstack.cloud.plugins.module_utils.openstack import openstack_full_argument_spec
from cloud import ADDRESS, FOREIGN, PLAYBOOKS, Cloud

from ansible_collections.egress.router.plugins.module_utils._openstack.cloud import AUTH_SPEC


def test_the_options_are_those_of_the_neighbour() -> None:
    theirs = openstack_full_argument_spec()
    # Ours waits for nothing, and logs nothing.
    for unused in ("wait", "timeout", "sdk_log_path", "sdk_log_level"):
        theirs.pop(unused)
    # Hidden one by one in ours, so that a URL may be told.
    theirs["auth"]["no_log"] = False
    assert {name: {"type": "str", **option} for name, option in theirs.items()} == AUTH_SPEC


def test_foreign_pairs_with_either_module(api: Cloud) -> None:
    two = sorted(FOREIGN[:2], key=lambda pair: pair["ip_address"])
    port = api.server(allowed_address_pairs=two)
    ours = api.run(addresses=[ADDRESS], nodes=[port.id])["ports"][0]
    assert [pair for pair in api.pairs(port) if pair in two] == ours["before"]
    print(f"\nbefore                    {shown(ours['before'])}")
    print(f"openstack_allowed_address_pair {shown(api.pairs(port))}")

    api.admin.network.update_port(port.id, allowed_address_pairs=two)
    variables = json.dumps({"port": port.id, "network": port.network_id, "address": ADDRESS})
    command = ["ansible-playbook", str(PLAYBOOKS / "openstack_cloud_port.yml"), f"--extra-vars={variables}"]
    environment = {**os.environ, "OS_CLIENT_CONFIG_FILE": str(api.file)}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    print(f"openstack.cloud.port      {shown(api.pairs(port))}")
    # The reason for a module of our own. When this fails, the neighbour has learned it: use its module.
    assert api.pairs(port) == [ADDRESS]


def shown(pairs: list[dict[str, str]]) -> str:
    return ", ".join(f"{pair['ip_address']} {pair['mac_address']}" for pair in pairs)
