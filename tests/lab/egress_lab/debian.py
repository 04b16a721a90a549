"""Debian where no registry answers: base systems by mmdebstrap, and what the router's image would be.

They get the machine's own Debian archives, proxy and certificates, so that `apt-get` works in them. These are read from
the machine when a system is made, and are in no file of the repository.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path

from . import lock, packages
from .settings import LAB_CACHE, ROUTER_CONTAINERFILE
from .shell import LabError, output, run, step

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
MERGED_USR = "/usr/share/mmdebstrap/hooks/merged-usr"
# What the agent's tests and benchmarks need on top of the image.
TEST_PACKAGES = ("ethtool", "iperf3", "iputils-ping", "openssl", "procps", "python3-pytest", "python3-pytest-xdist")


def archive(suite: str) -> Path:
    """The smallest system of a release, as a tar archive; made once."""
    made = LAB_CACHE / f"debian-{suite}.tar"
    with lock.exclusive(made.with_suffix(".lock")):
        if not made.exists():
            packages.ensure({"mmdebstrap": "mmdebstrap"})
            with step(f"making Debian {suite} with mmdebstrap", "25 seconds"):
                _make(suite, made)
    return made


def image_root() -> Path:
    """A root file system with the packages of the router's image and those of its tests; made once for each list."""
    text = ROUTER_CONTAINERFILE.read_text()
    names = (*image_packages(text), *TEST_PACKAGES)
    suite = image_suite(text)
    digest = hashlib.sha256(" ".join((suite, *names)).encode()).hexdigest()[:12]
    made = LAB_CACHE / f"root-{digest}"
    with lock.exclusive(LAB_CACHE / "root.lock"):
        if not made.exists():
            base = archive(suite)
            with step("installing the packages of the router's image and of its tests", "30 seconds"):
                part = made.with_suffix(".part")
                shutil.rmtree(part, ignore_errors=True)
                part.mkdir()
                run(["tar", "-C", str(part), "-xf", str(base)])
                for command in ("update", "upgrade --yes", f"install --yes --no-install-recommends {' '.join(names)}"):
                    apt = f"apt-get -qq -o Dpkg::Options::=--force-unsafe-io {command}"
                    run(["chroot", str(part), *apt.split()], env={"DEBIAN_FRONTEND": "noninteractive"})
                run(["chroot", str(part), "apt-get", "clean"])
                part.rename(made)
    return made


def image_base(containerfile: str) -> str:
    """What the router's image is built on, if its builder names nothing else."""
    return _found(r"^ARG BASE=(\S+)$", containerfile)


def image_suite(containerfile: str) -> str:
    """The Debian release of that."""
    return _found(r":([a-z]+)", image_base(containerfile))


def image_packages(containerfile: str) -> list[str]:
    """The packages that the Containerfile installs."""
    words = _found(r"apt-get install (.*?)(?:&&|$)", containerfile.replace("\\\n", " ")).split()
    return [word for word in words if not word.startswith("-")]


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.M)
    if not found:
        raise LabError(f"{ROUTER_CONTAINERFILE} has nothing like {pattern}: mend it, or what reads it.")
    return found[1]


def _make(suite: str, target: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "root"
        sources = _sources(suite)
        # Debian 12 and older have to be told to merge /usr.
        options = ["--quiet", "--mode=root", "--variant=minbase", f"--hook-dir={MERGED_USR}"]
        run(["mmdebstrap", *options, suite, str(root), *sources])
        _configure_apt(root, sources)
        for cached in (root / "var/cache/apt/archives").glob("*.deb"):
            cached.unlink()
        shutil.rmtree(root / "var/lib/apt/lists", ignore_errors=True)
        part = target.with_suffix(".part")
        empty = [f"--exclude=./{folder}/*" for folder in ("dev", "proc", "sys")]
        run(["tar", "-C", str(root), "--numeric-owner", *empty, "-cf", str(part), "."])
        part.rename(target)


def _sources(suite: str) -> list[str]:
    """This machine's Debian archives as `URI RELEASE COMPONENT` lines, for another release; empty if it is no Debian."""
    if not shutil.which("apt-get"):
        return []
    lines = output(
        ["apt-get", "indextargets", "--format", "$(CREATED_BY) $(REPO_URI) $(RELEASE) $(COMPONENT)", "Origin: Debian"],
        check=False,
    ).splitlines()
    entries = [line.split() for line in lines if line.startswith("Packages ")]
    found = dict.fromkeys(
        # bookworm, bookworm-updates, bookworm-security ...
        f"deb {uri} {'-'.join([suite, *release.split('-')[1:]])} {component}"
        for _kind, uri, release, component in entries
    )
    return list(found)


def _configure_apt(root: Path, sources: list[str]) -> None:
    if sources:
        (root / "etc/apt/sources.list").write_text("".join(f"{line}\n" for line in sources))
    proxies = [
        line
        for line in output(["apt-config", "dump", "Acquire"], check=False).splitlines()
        if "::Proxy" in line and not line.endswith('"";')
    ]
    if proxies:
        (root / "etc/apt/apt.conf.d/90lab-proxy").write_text("\n".join(proxies) + "\n")
    (root / "etc/apt/apt.conf.d/91lab-small").write_text(
        'APT::Install-Recommends "false";\nAcquire::Languages "none";\nDPkg::Options:: "--force-confold";\n'
    )
    if any(line.split()[1].startswith("https:") for line in sources) and CERTIFICATES.exists():
        target = root / "etc/ssl/certs" / CERTIFICATES.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(os.path.realpath(CERTIFICATES), target)
        (root / "etc/apt/apt.conf.d/92lab-certificates").write_text(
            f'Acquire::https::CAInfo "/etc/ssl/certs/{CERTIFICATES.name}";\n'
        )
