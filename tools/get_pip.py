"""Stands in for the bootstrap script that ansible-test downloads: the standard library carries a pip.

Called by ansible-test as ``get_pip.py [pip options] pip==VERSION --no-setuptools --no-wheel``.
"""

from __future__ import annotations

import subprocess
import sys

# As a process of its own: within this one, ensurepip switches pip's configuration files off.
subprocess.run([sys.executable, "-m", "ensurepip", "--default-pip"], check=True, stdout=subprocess.DEVNULL)
arguments = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
subprocess.run([sys.executable, "-m", "pip", "install", *arguments], check=True)
