"""Brings an instance up with fresh databases, and down."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from egress_support import process
from egress_support.lock import exclusive

from . import database, keystone, neutron, venv, web
from .settings import CACHE, Instance

# What decides the first content of the databases.
_MAKERS = (database, keystone, neutron)
_PORT = "made-for-port"


@contextmanager
def running(instance: Instance) -> Iterator[Instance]:
    """The instance while the block runs, for one process of the machine at a time."""
    with exclusive(CACHE / f"use-{instance.name}.lock"):
        try:
            yield up(instance)
        finally:
            down(instance)


def up(instance: Instance) -> Instance:
    """Starts the servers on databases as they were made first. What is left of an earlier run is stopped."""
    venv.ensure(instance.release)
    began = time.monotonic()
    down(instance)
    template = _template(instance)
    with exclusive(template.with_suffix(".lock")):
        made = not template.exists()
        if made:
            _make(instance, template)
    try:
        shutil.copytree(template, instance.state)
        _start(instance, first=False)
    except BaseException:
        process.stop_all(instance.state)
        raise
    how = "made and started" if made else "started"
    process.say(f"neutron: {instance.name} {how} in {time.monotonic() - began:.1f} s: {instance.network_url}")
    return instance


def down(instance: Instance) -> None:
    """Stops the servers and removes their databases."""
    if instance.state.exists():
        process.stop_all(instance.state)
        shutil.rmtree(instance.state)


def _make(instance: Instance, template: Path) -> None:
    """The first content of the databases. They have to be closed before they are copied."""
    instance.state.mkdir(parents=True)
    try:
        _start(instance, first=True)
    finally:
        process.stop_all(instance.state, keep=True)
    (instance.state / _PORT).write_text(str(instance.port))
    unfinished = template.with_suffix(".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    ignore = shutil.ignore_patterns("*.log", "*.pid", "*.sock", "locks")
    shutil.copytree(instance.state, unfinished, ignore=ignore)
    unfinished.rename(template)
    shutil.rmtree(instance.state)


def _start(instance: Instance, first: bool) -> None:
    store = database.of(instance)
    store.start()
    if not first and not instance.release.noauth:
        # The catalogue has the ports of the instance with which it was made.
        made = (instance.state / _PORT).read_text()
        for offset in (0, 1):
            store.replace_in_catalogue(f":{int(made) + offset}", f":{instance.port + offset}")
    neutron.configure(instance, store.url("neutron"))
    if first:
        neutron.create_tables(instance, store.url("neutron"))
    if instance.release.noauth:
        keystone.clouds_yaml_without_keystone(instance)
    else:
        keystone.configure(instance, store.url("keystone"))
        if first:
            keystone.fill(instance)
        keystone.start(instance)
        keystone.clouds_yaml(instance)
    # Beside Keystone: it asks for nothing before its first request.
    neutron.start(instance)
    if not instance.release.noauth:
        keystone.wait(instance)
        if first:
            keystone.seed(instance)
    neutron.wait(instance)
    if not instance.release.noauth:
        web.Identity(instance).first_query()


def _template(instance: Instance) -> Path:
    """Where the first content of the databases is kept, for all instances of a release; another one for every change."""
    key = hashlib.sha256(f"{instance.release.venv.name} {instance.database}".encode())
    for source in _MAKERS:
        key.update(Path(source.__file__ or "").read_bytes())
    return CACHE / f"template-{instance.release.name}-{key.hexdigest()[:12]}"
