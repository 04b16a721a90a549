# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection options are the neighbour's."""

from __future__ import annotations

from typing import Any

from ansible_collections.community.vmware.plugins.module_utils.vmware import vmware_argument_spec

from ansible_collections.egress.router.plugins.module_utils._vsphere.vcenter import AUTH_SPEC


def unified(spec: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """With what Ansible assumes, and without what makes no difference to it."""
    assumed = {"type": "str", "required": False, "no_log": False, "aliases": set()}
    return {
        name: {
            **assumed,
            **{key: set(value) if key == "aliases" else value for key, value in option.items() if value is not None},
        }
        for name, option in spec.items()
    }


def test_the_options_are_those_of_community_vmware() -> None:
    assert unified(vmware_argument_spec()) == unified(AUTH_SPEC)
