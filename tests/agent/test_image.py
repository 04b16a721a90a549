# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tests run with the image's packages."""

from __future__ import annotations

import platform
import re
from pathlib import Path

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
