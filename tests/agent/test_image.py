# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tests run with the image's packages, and the image says which these are."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

from egress_router import sbom

from ansible_collections.egress.router.plugins.module_utils._contract.version import VERSION
from ansible_collections.egress.router.tests.lab.egress_lab import debian

CONTAINERFILE = Path(__file__).parents[2] / "images/router/Containerfile"


def installed() -> dict[str, str]:
    """Versions of the installed packages by name, from dpkg's own records."""
    found = {}
    for paragraph in Path("/var/lib/dpkg/status").read_text().split("\n\n"):
        fields = dict(re.findall(r"^(\w+): (.*)$", paragraph, re.M))
        if fields.get("Status", "").endswith(" installed"):
            found[fields["Package"]] = fields["Version"]
    return found


def test_these_tests_run_with_the_images_packages() -> None:
    text = CONTAINERFILE.read_text()
    assert platform.freedesktop_os_release()["VERSION_CODENAME"] == debian.image_suite(text)
    assert set(installed()) > set(debian.image_packages(text))


def test_every_package_is_listed_with_its_version_and_licences() -> None:
    done = subprocess.run(
        ["/usr/bin/python3", "-m", "egress_router", "sbom"], capture_output=True, text=True, check=True
    )
    document = json.loads(done.stdout)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert document["metadata"]["component"]["version"] == VERSION
    components = document["components"]
    assert {one["name"]: one["version"] for one in components} == installed()
    for one in components:
        assert unquote(one["purl"]).startswith(f"pkg:deb/debian/{one['name']}@{one['version']}?arch=")
        assert one["licenses"], one["name"]
    assert len({one["bom-ref"] for one in components}) == len(components)


def test_licences_are_read_where_a_machine_can_read_them() -> None:
    text = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: GPL-2+\n"
    assert sbom.licences(f"{text} The text.\n\nFiles: a\nLicense:  Expat  or X11\n\nLicense: GPL-2+\n") == [
        "Expat or X11",
        "GPL-2+",
    ]
    assert sbom.licences("This is free.\nLicense: see /usr/share/common-licenses/GPL-2\n") == []
