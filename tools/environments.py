"""Builds the execution environment or the decision environment on this machine: environments.py ee|de

The definitions are those that users build. What differs here needs no registry and no Galaxy: the base is the Debian that the router's
image is built on, and the collections come from the package ``ansible`` of the project's environment. pip's settings and certificates are
mounted while it builds.

An image consists of two: what takes minutes, kept until something of it changes, and the checkout's collection in a layer above.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests/lab"), str(ROOT / "tests/support")]

from egress_lab import baseimage, engine, lock, shell  # noqa: E402
from egress_lab.settings import LAB_CACHE  # noqa: E402

LABEL = "egress.environment.inputs"
MOUNTED = "/run/egress"  # certificates, while it builds
COLLECTIONS = "/usr/share/ansible/collections"
# What ansible-builder looks at in a collection, apart from its galaxy.yml.
DEPENDENCIES_OF_OURS = "meta"
# Printed by a container of the image. The first line counts megabytes.
CONTENTS = f"""
cd /usr/local/lib/python3*/dist-packages
du -sm . {COLLECTIONS} /usr/lib/jvm 2>/dev/null | sort -rn
python3 --version; java -version 2>&1 | head -1
for one in *.dist-info; do one=${{one%.dist-info}}; echo "${{one%-*}} ${{one##*-}}"; done
cd {COLLECTIONS}/ansible_collections
for one in */*/MANIFEST.json; do
  python3 -c 'import json; i = json.load(open("'$one'"))["collection_info"]; print(i["namespace"] + "." + i["name"], i["version"])'
done
"""
SHOWN = (
    "Python", "openjdk", "ansible_core", "ansible_runner", "ansible_rulebook", "drools_jpy", "kubernetes", "openstacksdk", "pyvmomi",
)  # fmt: skip


@dataclass(frozen=True)
class Environment:
    """``based_on``: the environment below it, or Debian."""

    definition: str
    image: str
    based_on: str = ""

    @property
    def below(self) -> str:
        """The image without the checkout's collection."""
        return f"{self.image}:below"

    @property
    def current(self) -> str:
        return f"{self.image}:dev"


ENVIRONMENTS = {
    "ee": Environment("execution-environment/execution-environment.yml", "localhost/egress-ee"),
    "de": Environment("decision-environment/decision-environment.yml", "localhost/egress-de", based_on="ee"),
}


def digest_of(folder: Path, *more: str) -> str:
    """What is in all files of a folder, and their names."""
    found = hashlib.sha256("\0".join(more).encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        found.update(f"{path.relative_to(folder)}\0{len(data)}\0".encode() + data)
    return found.hexdigest()[:16]


def published(files: Iterable[str], ignored: Sequence[str]) -> list[str]:
    """Those files that a build of the collection takes: `ignored` is build_ignore of galaxy.yml."""

    def out(file: str) -> bool:
        ancestors = [file, *(str(parent) for parent in Path(file).parents)]
        return any(fnmatch.fnmatch(name, pattern) for name in ancestors for pattern in ignored)

    return [file for file in files if not out(file)]


def closure(names: Iterable[str], dependencies: Callable[[str], Iterable[str]]) -> list[str]:
    """These collections and all that they depend on."""
    found: list[str] = []
    wanted = list(names)
    while wanted:
        name = wanted.pop()
        if name not in found:
            found.append(name)
            wanted += dependencies(name)
    return sorted(found)


def requirements(names: Iterable[str], folder: str) -> dict[str, Any]:
    """The collections of requirements.yml, each from a directory."""
    return {"collections": [{"type": "dir", "source": f"{folder}/{name.replace('.', '/')}"} for name in names]}


def pip_settings(text: str) -> tuple[str, dict[str, str]]:
    """pip.conf for the build, and what to mount for it: path of this machine to path of the build."""
    parser = ConfigParser(interpolation=None)
    parser.read_string(text)
    mounts: dict[str, str] = {}
    lines = ["[global]"]
    for name, value in parser["global"].items():
        if name in ("cert", "client-cert"):
            target = mounts[value] = f"{MOUNTED}/{name}.pem"
            lines.append(f"{name} = {target}")
        elif not any(word.startswith(("/", "~", "file:")) for word in value.split()):
            # Other paths of this machine mean nothing there.
            lines.append(f"{name} = {value}")
    return "\n".join(lines) + "\n", mounts


def create(definition: Path, context: Path) -> Path:
    """What ansible-builder makes of a definition, in `context`."""
    shell.run(["ansible-builder", "create", "--file", str(definition), "--context", str(context)])
    return context


def contents(printed: str) -> list[str]:
    """What is in an image, of what CONTENTS printed: sizes, then versions."""
    lines = printed.splitlines()
    sizes = [line.split("\t") for line in lines if "\t" in line]
    named = {".": "Python packages", COLLECTIONS: "collections"}
    parts = ", ".join(f"{named.get(path, 'Java')} {size} MB" for size, path in sizes)
    versions = [line.replace(" version", "").replace('"', "") for line in lines if "\t" not in line]
    shown = [
        line for line in versions if line.startswith(tuple(f"{name} " for name in SHOWN)) or "." in line.split()[0]
    ]
    return [parts, ", ".join(shown)]


class Builder:
    """Builds with the lab's container engine."""

    def __init__(self, scratch: Path) -> None:
        self.engine = engine.choose()
        self.scratch = scratch
        self.collections = _collections()

    def below(self, environment: Environment) -> bool:
        """The image without the checkout's collection. True if it was built."""
        base = baseimage.of_router(self.engine)
        if environment.based_on:
            other = ENVIRONMENTS[environment.based_on]
            self.below(other)
            base = other.below
        context = self._context(environment)
        inputs = digest_of(context, self._identity(base))
        if self.engine.label("image", environment.below, LABEL) == inputs:
            return False
        with shell.step(f"building {environment.below}", "2 minutes"), self._pip() as mounted:
            # Without their parts' layers the image has less than half of their size.
            squash = ["--squash"] if self.engine.name == "podman" else []
            arguments = [f"EE_BASE_IMAGE={base}", "ANSIBLE_GALAXY_CLI_COLLECTION_OPTS=--offline"]
            given = [word for argument in arguments for word in ("--build-arg", argument)]
            self._build(environment.below, inputs, context, *squash, *mounted, *given)
        return True

    def current(self, environment: Environment) -> bool:
        """The image with the checkout's collection. True if it was built."""
        context = self.scratch / "layer"
        _copy_ours(context / "router")
        inputs = digest_of(context, self._identity(environment.below))
        if self.engine.label("image", environment.current, LABEL) == inputs:
            return False
        install = f"ansible-galaxy collection install --offline --no-deps --force --collections-path {COLLECTIONS} /mnt/router"
        (context / "Containerfile").write_text(
            f"FROM {environment.below}\nUSER root\n"
            f"RUN --mount=type=bind,source=router,target=/mnt/router cp -r /mnt/router /tmp && {install.replace('/mnt', '/tmp')}"
            " && rm -r /tmp/router\nUSER 1000\n"
        )
        with shell.step(f"putting the checkout's collection into {environment.current}", "5 seconds"):
            self._build(environment.current, inputs, context)
        return True

    def describe(self, environment: Environment) -> list[str]:
        size = int(self.engine.output("image", "inspect", "--format", "{{.Size}}", environment.current))
        command = ["run", "--rm", "--network", "none", "--entrypoint", "bash", environment.current, "-c", CONTENTS]
        return [f"{environment.current}: {size // 10**6} MB", *contents(self.engine.output(*command))]

    def _identity(self, image: str) -> str:
        found: str = self.engine.output("image", "inspect", "--format", "{{.Id}}", image)
        return found

    def _build(self, image: str, inputs: str, context: Path, *more: str) -> None:
        previous = self._identity(image) if self.engine.exists("image", image) else ""
        labelled = ["--label", f"{LABEL}={inputs}", "-f", str(context / "Containerfile"), "-t", image, str(context)]
        self.engine.run("build", "-q", *baseimage.build_arguments(self.engine), *more, *labelled)
        if previous and previous != self._identity(image):
            # Half a gigabyte that has no name any more. Another image may still be based on it: then it goes with that.
            self.engine.run("image", "rm", previous, check=False)

    def _context(self, environment: Environment) -> Path:
        """What ansible-builder makes of the definition, with the collections in it."""
        definition = ROOT / environment.definition
        made = create(definition, self.scratch / definition.stem)
        content = made / "_build"
        if (content / "requirements.yml").exists():
            for name, folder in self.collections.items():
                shutil.copytree(folder, content / "collections" / name.replace(".", "/"))
            _copy_ours(content / "collections/egress/router", f"{DEPENDENCIES_OF_OURS}/")
            names = [*self.collections, "egress.router"]
            (content / "requirements.yml").write_text(yaml.safe_dump(requirements(names, "/build/collections")))
        return made

    @contextlib.contextmanager
    def _pip(self) -> Iterator[list[str]]:
        """pip's settings of this machine for a build. Docker cannot mount them: there it has to do without."""
        if self.engine.name != "podman":
            yield []
            return
        printed = subprocess.run(
            [sys.executable, ROOT / "tools/pip_conf.py"], check=True, capture_output=True, text=True
        )
        text, mounts = pip_settings(printed.stdout)
        with tempfile.NamedTemporaryFile("w") as conf:
            conf.write(text)
            conf.flush()
            given = {conf.name: "/etc/pip.conf", **mounts}
            yield [f"--volume={os.path.realpath(path)}:{target}:ro" for path, target in given.items()]


def _collections() -> dict[str, Path]:
    """The collections that ours depends on, with their folders in the package ``ansible``."""
    spec = importlib.util.find_spec("ansible_collections.kubernetes.core")
    if spec is None or not spec.submodule_search_locations:
        raise shell.LabError(
            "There is no collection kubernetes.core: run this by tools/run, in the project's environment."
        )
    folder = Path(spec.submodule_search_locations[0]).parents[1]

    def dependencies(name: str) -> list[str]:
        manifest = json.loads((folder / name.replace(".", "/") / "MANIFEST.json").read_text())
        return list(manifest["collection_info"]["dependencies"])

    ours = yaml.safe_load((ROOT / "galaxy.yml").read_text())["dependencies"]
    return {name: folder / name.replace(".", "/") for name in closure(ours, dependencies)}


def _copy_ours(target: Path, below: str = "") -> None:
    """What a build of the collection takes, or the files below a folder with what every collection has."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    files = [file for file in listed.stdout.split("\0") if file and (ROOT / file).is_file()]
    ignored = yaml.safe_load((ROOT / "galaxy.yml").read_text())["build_ignore"]
    for file in published(files, ignored):
        if file.startswith(below) or file == "galaxy.yml":
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, target / file)
    (target / "README.md").touch()


def main() -> int:
    parser = argparse.ArgumentParser(description="Builds the execution environment or the decision environment.")
    parser.add_argument("environment", choices=ENVIRONMENTS)
    parser.add_argument("--quiet", action="store_true", help="do not show what is in it")
    arguments = parser.parse_args()
    environment = ENVIRONMENTS[arguments.environment]
    began = time.monotonic()
    try:
        with lock.exclusive(LAB_CACHE / "environments.lock"), tempfile.TemporaryDirectory() as scratch:
            builder = Builder(Path(scratch))
            built = [builder.below(environment), builder.current(environment)]
            if not arguments.quiet:
                print(*builder.describe(environment), sep="\n")
    except shell.LabError as error:
        print(f"environments: {error}", file=sys.stderr)
        return 1
    print(f"{environment.current}: {'built' if any(built) else 'current'} after {time.monotonic() - began:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
