# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each file has a namespace of its own on the lab, which is up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.egress.router.tests.automation.lab.cluster import Lab, cluster


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    name = request.module.__name__.rpartition("test_")[2]
    with cluster(f"automation-{name}", tmp_path_factory.mktemp("lab")) as found:
        yield found
