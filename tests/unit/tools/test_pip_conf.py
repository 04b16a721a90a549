# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pip's settings of a machine, for programs with settings of their own."""

from __future__ import annotations

import subprocess

from ansible_collections.egress.router.tools import pip_conf

LISTING = """\
:env:.find-links='/opt/a /opt/b'
global.index-url='https://jane:its@pypi.example.com/simple'
global.trusted-host='a.example.com b.example.com'
global.timeout='60'
:env:.timeout='180'
global.progress-bar='off'
"""


def test_the_environment_comes_after_files_and_certificates_that_openssl_knows_count() -> None:
    found = pip_conf.read(LISTING, {"SSL_CERT_FILE": "/etc/ca.crt"})
    assert (found["timeout"], found["cert"]) == ("180", "/etc/ca.crt")
    assert "timeout = 180\n" in pip_conf.as_pip_conf(found)
    assert pip_conf.read("global.cert='/b.crt'\n", {"SSL_CERT_FILE": "/etc/ca.crt"}) == {"cert": "/b.crt"}


def test_a_shell_reads_them_for_uv() -> None:
    text = pip_conf.as_uv({**pip_conf.read(LISTING, {}), "cert": "/a b/$(false)'.crt"})
    names = ("UV_DEFAULT_INDEX", "UV_FIND_LINKS", "UV_INSECURE_HOST", "UV_HTTP_TIMEOUT", "SSL_CERT_FILE")
    show = "".join(f'echo "${name}"\n' for name in names)
    done = subprocess.run(["sh", "-euc", text + show], check=True, capture_output=True, text=True, env={})
    assert done.stdout.splitlines() == [
        "https://jane:its@pypi.example.com/simple", "/opt/a,/opt/b", "a.example.com b.example.com", "180", "/a b/$(false)'.crt",
    ]  # fmt: skip
    assert "progress" not in text
