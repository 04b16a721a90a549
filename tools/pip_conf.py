"""Prints pip's present settings, environment included: as a pip.conf, or with argument ``uv`` as shell variables of uv.

For programs that clear the environment or have settings of their own. Certificates that only ``SSL_CERT_FILE`` names count as pip's, too.
"""

from __future__ import annotations

import ast
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping

# Environment variables of uv (https://docs.astral.sh/uv/reference/environment/), and what separates several values there.
UV = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "no-index": ("UV_NO_INDEX", " "),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "timeout": ("UV_HTTP_TIMEOUT", " "),
    "default-timeout": ("UV_HTTP_TIMEOUT", " "),
    "proxy": ("ALL_PROXY", " "),
    "cert": ("SSL_CERT_FILE", " "),
    "client-cert": ("SSL_CLIENT_CERT", " "),
}


def read(listing: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The settings in what ``pip config list`` prints."""
    settings = {"cert": environment["SSL_CERT_FILE"]} if "SSL_CERT_FILE" in environment else {}
    # Lines look like global.cert='/a/file' or :env:.index-url='...', in pip's order of precedence: later ones win.
    for line in sorted(listing.splitlines(), key=lambda line: line.startswith(":env:")):
        name, value = line.split("=", 1)
        settings[name.rpartition(".")[2]] = str(ast.literal_eval(value))
    return settings


def as_pip_conf(settings: Mapping[str, str]) -> str:
    return "".join(["[global]\n", *(f"{name} = {text}\n" for name, text in settings.items())])


def as_uv(settings: Mapping[str, str]) -> str:
    """What uv has no name for is left out."""
    found = {UV[name][0]: UV[name][1].join(text.split()) for name, text in settings.items() if name in UV}
    return "".join(f"export {name}={shlex.quote(text)}\n" for name, text in found.items())


def main() -> None:
    command = [sys.executable, "-m", "pip", "config", "list"]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    write = as_uv if sys.argv[1:] == ["uv"] else as_pip_conf
    print(write(read(listing, os.environ)), end="")


if __name__ == "__main__":
    main()
