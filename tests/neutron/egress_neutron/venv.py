"""Virtual environments with Neutron and Keystone, one for each release and content of its constraints."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time

from egress_lab import packages
from egress_support.lock import exclusive
from egress_support.process import ServerError, say

from .settings import HERE, Release

INSTALL = HERE.parents[1] / "tools/install"
# netifaces, which Neutron 2024.1 needs, comes as C for this Python.
_COMPILER = {"gcc": "gcc", "python3-config": "python3-dev"}


def ensure(release: Release) -> None:
    """Makes the release's environment (15 s, 370 MB). Does nothing when it is there."""
    ready = release.venv / ".ready"
    if ready.exists():
        return
    with exclusive(release.venv.with_name(f"{release.venv.name}.lock")):
        if ready.exists():
            return
        packages.ensure(_COMPILER)
        say(f"neutron: making the environment of Neutron {release.name} (about 15 s)")
        began = time.monotonic()
        shutil.rmtree(release.venv, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(release.venv)], check=True)
        command = [str(INSTALL), str(release.venv / "bin/python"), "--constraint", str(release.constraints)]
        command += release.packages
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ServerError(f"Neutron {release.name} cannot be installed: {done.stderr[-2000:]}")
        ready.touch()
        say(f"neutron: made it in {time.monotonic() - began:.0f} s")
