# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a command as root of the user namespace that owns this network namespace: enter_user_namespace.py COMMAND..."""

from __future__ import annotations

import ctypes
import fcntl
import os
import sys
from pathlib import Path

# linux/nsfs.h and linux/sched.h.
_NS_GET_USERNS = 0xB701
_CLONE_NEWUSER = 0x10000000

with Path("/proc/self/ns/net").open("rb") as network:
    owner = fcntl.ioctl(network, _NS_GET_USERNS)
if ctypes.CDLL(None, use_errno=True).setns(owner, _CLONE_NEWUSER):
    sys.exit(os.strerror(ctypes.get_errno()))
os.execvp(sys.argv[1], sys.argv[1:])
