# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The egress router's image: the agent of the router's pod, and the commands that inspect a node and test a router."""

import importlib.util
import sys
import types

# The __init__ of pyroute2 imports all of the library, of which the agent uses a few modules: 6 MB and a tenth of a second. So
# the package is here without it. Its lab, which only its own tests use, would bring unittest and asyncio: 2.5 MB.
_spec = importlib.util.find_spec("pyroute2")
if _spec is not None and "pyroute2" not in sys.modules:
    sys.modules["pyroute2"] = importlib.util.module_from_spec(_spec)
    _lab = sys.modules["pyroute2.lab"] = types.ModuleType("pyroute2.lab")
    _lab.__dict__["LAB_API"] = type("LAB_API", (), {})
