"""Brings an instance up with fresh databases, and down."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import database, keystone, neutron, process, venv, web
from .lock import exclusive
from .settings import CACHE, Instance


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
    made = not template.exists()
    try:
        if made:
            instance.state.mkdir(parents=True)
        else:
            shutil.copytree(template, instance.state)
        _start(instance, first=made)
        if made:
            # The databases have to be closed before they are copied.
            process.stop_all(instance.state)
            _keep(instance, template)
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


def _start(instance: Instance, first: bool) -> None:
    store = database.of(instance)
    store.start()
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
        if first:
            keystone.seed(instance)
        keystone.clouds_yaml(instance)
    neutron.start(instance)
    if not instance.release.noauth:
        web.Identity(instance).first_query()


def _keep(instance: Instance, template: Path) -> None:
    unfinished = template.with_suffix(".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    ignore = shutil.ignore_patterns("*.log", "*.pid", "*.sock", "locks")
    shutil.copytree(instance.state, unfinished, ignore=ignore)
    unfinished.rename(template)


def _template(instance: Instance) -> Path:
    """Where the first content of the databases is kept; another one for every change of what makes it."""
    key = hashlib.sha256(instance.release.venv.name.encode() + repr(instance).encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        key.update(source.read_bytes())
    return CACHE / f"template-{instance.name}-{key.hexdigest()[:12]}"
