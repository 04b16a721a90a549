# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes Ansible's own loader serve ``ansible_collections``, as it does when modules really run."""

from __future__ import annotations

import os
import sys

from ansible.utils.collection_loader import _collection_finder

if not any(isinstance(finder, _collection_finder._AnsibleCollectionFinder) for finder in sys.meta_path):
    # ansible-test has installed it already; plain pytest runs with the paths of tools/env.sh.
    _collection_finder._AnsibleCollectionFinder(
        paths=os.environ["ANSIBLE_COLLECTIONS_PATH"].split(os.pathsep)
    )._install()
