"""A new vCenter for each test: the simulator, or a real one that is cleared up afterwards."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(1, str(Path(__file__).parents[1] / "support"))
sys.path.insert(2, str(Path(__file__).parents[1] / "lab"))

from ansible.utils.collection_loader import _collection_finder
from egress_vcsim import server
from world import INSTANCE, World, simulator, site

# As Ansible does when modules really run.
_collection_finder._AnsibleCollectionFinder(paths=os.environ["ANSIBLE_COLLECTIONS_PATH"].split(os.pathsep))._install()

# A run that is ended ends its servers too, as Ctrl-C does.
signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def simulated() -> Iterator[None]:
    """For one process of the machine at a time, and stopped at the end."""
    with server.running(INSTANCE):
        yield


@pytest.fixture
def world(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    where = site()
    if not where.real:
        request.getfixturevalue("simulated")
    environment = dict(os.environ) if where.real else server.environment(simulator())
    # Nothing is to be found in the environment that a test does not give.
    for variable in [name for name in os.environ if name.startswith("VMWARE_")]:
        monkeypatch.delenv(variable)
    # A filter in the same process makes it a controller, where warnings are shown instead of returned.
    monkeypatch.setattr("ansible.module_utils._internal.is_controller", False, raising=False)
    made = World(environment, where, capsys)
    try:
        yield made
    finally:
        if where.real:
            made.remove()
        made.close()
