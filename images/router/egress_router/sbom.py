# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists the image's packages with versions and licences, as CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/)."""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from ansible_collections.egress.router.plugins.module_utils._contract.version import VERSION

Json = dict[str, Any]

DOC = Path("/usr/share/doc")


def main(arguments: list[str]) -> int:
    """Print the list."""
    argparse.ArgumentParser(prog="egress-router sbom", description=__doc__).parse_args(arguments)
    print(json.dumps(bill(), indent=2))
    return 0


def bill() -> Json:
    """The document: nothing in it changes unless the image does."""
    form = "${db:Status-Status} ${Package} ${Version} ${Architecture}\n"
    listed = subprocess.run(["dpkg-query", "--show", "--showformat", form], capture_output=True, text=True, check=True)
    release = platform.freedesktop_os_release()["VERSION_ID"]
    packages = [fields for status, *fields in map(str.split, listed.stdout.splitlines()) if status == "installed"]
    image = {"type": "container", "name": "egress-router", "version": VERSION, **_licences(["GPL-3.0-or-later"])}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"bom-ref": "image", **image}},
        "components": [_component(name, version, built, release) for name, version, built in packages],
    }


def _component(name: str, version: str, architecture: str, release: str) -> Json:
    qualifiers = urlencode({"arch": architecture, "distro": f"debian-{release}"})
    url = f"pkg:deb/debian/{quote(name)}@{quote(version, safe=':~')}?{qualifiers}"
    told = DOC / name / "copyright"
    names = (licences(told.read_text(errors="replace")) or [f"see {told}"]) if told.exists() else []
    return {"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url, **_licences(names)}


def _licences(names: list[str]) -> Json:
    return {"licenses": [{"license": {"name": name}} for name in names]}


def licences(text: str) -> list[str]:
    """The licences in a file debian/copyright, by Debian's names for them; empty if it tells them in prose."""
    names = re.findall(r"^License: *(\S.*)$", text, re.M) if re.match(r"\s*Format:", text) else []
    return sorted({" ".join(name.split()) for name in names})
