# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes Ansible's own loader serve ``ansible_collections``, as it does when modules really run."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any
from unittest import mock

from ansible.module_utils import basic
from ansible.utils.collection_loader import _collection_finder

if not any(isinstance(finder, _collection_finder._AnsibleCollectionFinder) for finder in sys.meta_path):
    # ansible-test has installed it already; plain pytest runs with the paths of tools/env.sh.
    _collection_finder._AnsibleCollectionFinder(
        paths=os.environ["ANSIBLE_COLLECTIONS_PATH"].split(os.pathsep)
    )._install()


@contextlib.contextmanager
def _patch_module_args(module_args: Mapping[str, Any] | None = None) -> Iterator[None]:
    document = json.dumps({"ANSIBLE_MODULE_ARGS": dict(module_args or {})})
    with mock.patch.object(basic, "_ANSIBLE_ARGS", document.encode()):
        yield


# ansible-core 2.18 lacks what its successors have for tests.
if importlib.util.find_spec("ansible.module_utils.testing") is None:
    _testing = ModuleType("ansible.module_utils.testing")
    _testing.patch_module_args = _patch_module_args  # type: ignore[attr-defined]
    sys.modules[_testing.__name__] = _testing
