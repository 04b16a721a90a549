"""Prints pip's present settings, environment included, as a pip.conf.

For programs that clear the environment. Certificates that only ``SSL_CERT_FILE`` names count as pip's, too.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys

listing = subprocess.run([sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True)
settings: dict[str, str] = {}
if "SSL_CERT_FILE" in os.environ:
    settings["cert"] = os.environ["SSL_CERT_FILE"]
# Lines look like global.cert='/a/file' or :env:.index-url='...', in pip's order of precedence: later ones win.
lines = sorted(listing.stdout.splitlines(), key=lambda line: line.startswith(":env:"))
for line in lines:
    name, value = line.split("=", 1)
    settings[name.rpartition(".")[2]] = str(ast.literal_eval(value))

print("[global]")
for name, text in settings.items():
    print(f"{name} = {text}")
