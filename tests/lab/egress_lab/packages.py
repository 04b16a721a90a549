"""Debian packages that the tests need on the machine; only missing ones are installed."""

from __future__ import annotations

import os
import shutil

from .settings import REPOSITORY
from .shell import LabError, run, step

COMMON = {
    "ip": "iproute2",
    "sysctl": "procps",
    "nft": "nftables",
    "conntrack": "conntrack",
    "mmdebstrap": "mmdebstrap",
    "iptables": "iptables",
}
PODMAN = {
    "podman": "podman",
    "runc": "runc",
    "/usr/lib/podman/netavark": "netavark",
    "/usr/lib/podman/aardvark-dns": "aardvark-dns",
}


def ensure(programs: dict[str, str]) -> None:
    """Install the package of every program that is not there."""
    missing = sorted(
        {package for program, package in programs.items() if not shutil.which(program, path=_search_path())}
    )
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise LabError(
            f"The tests need {', '.join(missing)}, and there is no apt-get to install them with: install them by hand."
        )
    with step(f"installing {' '.join(missing)}", "30 seconds"):
        run([str(REPOSITORY / "tools/packages"), *missing])


def _search_path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
