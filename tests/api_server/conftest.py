# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One API server and one operator for all tests of a process, and a namespace of its own for each."""

from __future__ import annotations

import itertools
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible.utils.collection_loader import _collection_finder

# As Ansible does when modules really run.
_collection_finder._AnsibleCollectionFinder(paths=os.environ["ANSIBLE_COLLECTIONS_PATH"].split(os.pathsep))._install()

from ansible_collections.egress.router.tests.api_server.api import Servers, running  # noqa: E402
from ansible_collections.egress.router.tests.api_server.control_plane import ControlPlane  # noqa: E402
from ansible_collections.egress.router.tests.api_server.nodes import Nodes  # noqa: E402
from ansible_collections.egress.router.tests.api_server.world import World  # noqa: E402
from ansible_collections.egress.router.tests.support import figures  # noqa: E402

# A run that is ended ends its servers too, as Ctrl-C does.
signal.signal(signal.SIGTERM, signal.default_int_handler)

_NUMBERS = itertools.count(1)
pytest_terminal_summary = figures.show


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with running(tmp_path_factory.mktemp("servers")) as started:
        yield started


@pytest.fixture(scope="session")
def discovery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the modules keep what kinds the API server knows: it is asked once."""
    return tmp_path_factory.mktemp("discovery")


@pytest.fixture(scope="session")
def control_plane(servers: Servers, discovery: Path) -> ControlPlane:
    return ControlPlane.at(servers.api.url, discovery)


@pytest.fixture
def world(
    servers: Servers, discovery: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[World]:
    monkeypatch.setattr(tempfile, "tempdir", str(discovery))
    for variable in [name for name in os.environ if name.startswith("K8S_AUTH_")]:
        monkeypatch.delenv(variable)
    # In this process the tests have imported the controller's half of Ansible, where warnings are shown instead of returned.
    monkeypatch.setattr("ansible.module_utils._internal.is_controller", False, raising=False)
    namespace = f"payments-{next(_NUMBERS)}"
    servers.api("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    made = World(servers, Nodes(servers.api), namespace, capsys)
    made.nodes.start()
    try:
        yield made
    finally:
        try:
            made.clean()
        finally:
            made.nodes.stop()
    assert not made.nodes.overlaps, made.nodes.overlaps
