# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole runs of ansible-playbook against the API server of the tests."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.egress.router.tests.api_server.api import TOKENS, Servers

# Without preflight, which nothing here can pass, and clouds, whose roles would look for themselves.
BASE = {
    "egress_router_preflight": False,
    "egress_router_openstack_allowed_address_pair": False,
    "egress_router_vsphere_port_group_security": False,
    "deploy_wait": False,
}


def run_playbook(
    servers: Servers, folder: Path, arguments: Sequence[str], variables: Mapping[str, Any]
) -> subprocess.CompletedProcess[str]:
    """Ansible-playbook with these arguments and extra variables, as the administrator."""
    file = folder / "variables.json"
    file.write_text(json.dumps({**BASE, **variables}))
    connection = {
        "K8S_AUTH_HOST": servers.api.url,
        "K8S_AUTH_API_KEY": TOKENS["admin"],
        "K8S_AUTH_VERIFY_SSL": "false",
    }
    return subprocess.run(
        ["ansible-playbook", "-i", "localhost,", "-e", f"@{file}", *arguments],
        env={**os.environ, **connection},
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )
