"""`debian:bookworm-slim` in the engine's storage: the real one where a registry answers, else made by debootstrap.

The stand-in gets the machine's own Debian sources, proxy and certificates, so that `apt-get` works in builds with
`--network host`. They are read from the machine when it is made and are in no file of the repository.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from . import packages
from .engine import Engine, pull
from .settings import BASE_IMAGE
from .shell import LabError, output, run, step

SUITE = "bookworm"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def ensure(engine: Engine) -> None:
    if engine.exists("image", BASE_IMAGE):
        return
    with step(f"asking the registry for {BASE_IMAGE}", "seconds"):
        if pull(engine, BASE_IMAGE):
            return
    packages.ensure({"debootstrap": "debootstrap"})
    with (
        step(f"no registry answers: making {BASE_IMAGE} with debootstrap", "40 seconds"),
        tempfile.TemporaryDirectory() as scratch,
    ):
        root = Path(scratch) / "root"
        sources = _sources()
        mirror = [sources[0].split()[1]] if sources else []
        run(["debootstrap", "--variant=minbase", SUITE, str(root), *mirror])
        _configure_apt(root, sources)
        for cached in (root / "var/cache/apt/archives").glob("*.deb"):
            cached.unlink()
        shutil.rmtree(root / "var/lib/apt/lists", ignore_errors=True)
        archive = Path(scratch) / "root.tar"
        run(
            [
                "tar",
                "-C",
                str(root),
                "--exclude=./dev/*",
                "--exclude=./proc/*",
                "--exclude=./sys/*",
                "-cf",
                str(archive),
                ".",
            ]
        )
        engine.run("import", "--change", 'CMD ["bash"]', str(archive), BASE_IMAGE)


def _sources() -> list[str]:
    """This machine's Debian archives as `URI RELEASE COMPONENT` lines; empty when it is no Debian of that suite."""
    if not shutil.which("apt-get"):
        return []
    lines = output(
        ["apt-get", "indextargets", "--format", "$(CREATED_BY) $(REPO_URI) $(RELEASE) $(COMPONENT)", "Origin: Debian"],
        check=False,
    ).splitlines()
    entries = [line.split() for line in lines if line.startswith("Packages ")]
    found = dict.fromkeys(
        f"deb {uri} {release} {component}" for _kind, uri, release, component in entries if release.startswith(SUITE)
    )
    # The release itself first: debootstrap takes its mirror from there.
    return sorted(found, key=lambda line: line.split()[2] != SUITE)


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


def build_arguments(engine: Engine) -> list[str]:
    """What every build on top of it needs: the machine's own network, and no look at registries for local images."""
    if not engine.exists("image", BASE_IMAGE):
        raise LabError(f"{BASE_IMAGE} is not in {engine.name}'s storage: run `tests/lab/lab base-image` first.")
    return ["--network", "host"] + (["--pull=never"] if engine.name == "podman" else [])
