# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests measured is printed in the end, where a conftest has `pytest_terminal_summary = figures.show`."""

from __future__ import annotations

import pytest


def show(terminalreporter: pytest.TerminalReporter) -> None:
    """The properties `figure` of all tests, each once."""
    for report in terminalreporter.getreports(""):
        for name, text in report.user_properties:
            if name == "figure" and report.when == "teardown":
                terminalreporter.write_line(str(text))
