"""Real servers for the tests: started once, stopped at the end."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.extend(str(Path(__file__).parents[1] / folder) for folder in ("neutron", "lab", "support"))

from ansible.utils.collection_loader import _collection_finder
from cloud import Cloud, make_networks
from egress_neutron import stack
from egress_neutron.settings import INSTANCES, Instance
from proxy import Proxy, proxy

# As Ansible does when modules really run.
_collection_finder._AnsibleCollectionFinder(paths=os.environ["ANSIBLE_COLLECTIONS_PATH"].split(os.pathsep))._install()


def started(name: str) -> Iterator[Instance]:
    """The servers that the script `run` has started for all of its processes, or started for this one."""
    if name in os.environ.get("EGRESS_NEUTRON_RUNNING", "").split():
        yield INSTANCES[name]
        return
    with stack.running(INSTANCES[name]) as instance:
        make_networks(instance)
        yield instance


@pytest.fixture(scope="session")
def api_servers() -> Iterator[Instance]:
    yield from started("api")


@pytest.fixture(scope="session")
def newest_servers() -> Iterator[Instance]:
    yield from started("newest")


@pytest.fixture(autouse=True)
def no_cloud_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(variable)


@pytest.fixture
def api(api_servers: Instance, capsys: pytest.CaptureFixture[str]) -> Cloud:
    """Keystone and Neutron 2024.1 on MariaDB, which handles concurrent writers."""
    return Cloud(api_servers, capsys)


@pytest.fixture(params=["api", "newest"])
def cloud(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Cloud:
    """Neutron 2024.1 with Keystone, and Neutron 2026.1."""
    return Cloud(request.getfixturevalue(f"{request.param}_servers"), capsys)


@pytest.fixture
def between(api: Cloud) -> Iterator[Proxy]:
    """A proxy in front of the Neutron of `api`."""
    with proxy(api.instance.network_url) as running:
        yield running
