# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs `egress-router run` with the peers' keys and the service account in folders of the test's: start_agent.py KEYS FOLDER."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

# As the command does while it imports; most of that is done here already.
gc.disable()

from egress_router.__main__ import main  # noqa: E402
from egress_router.run import keys, kube, web  # noqa: E402

kube.SERVICE_ACCOUNT = Path(sys.argv.pop())
keys.DIRECTORY = Path(sys.argv.pop())
if os.environ.get("FRESH_PAGES"):
    # Most tests compare counters, on a busy machine where any page takes long.
    web.QUICK_SECONDS = float("inf")
sys.argv.append("run")
sys.exit(main())
