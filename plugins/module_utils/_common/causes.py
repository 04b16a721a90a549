# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""Why a connection failed, from the exceptions that libraries wrap into one another."""

from __future__ import annotations

import ssl


def reason(error: BaseException) -> str:
    """The operating system's words for the innermost cause, such as `Connection refused`; empty if it is none of its errors."""
    found = [cause for cause in causes(error) if isinstance(cause, OSError)]
    for cause in reversed(found):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"certificate verify failed ({cause.verify_message})"
        if cause.strerror:
            return cause.strerror
        if isinstance(cause, TimeoutError):
            return "timed out"
    return ""


def refused_certificate(error: BaseException) -> str:
    """Why the server's certificate was refused; empty if that is not what is wrong."""
    found = (cause.verify_message for cause in causes(error) if isinstance(cause, ssl.SSLCertVerificationError))
    return next(found, "")


def causes(error: BaseException | None) -> list[BaseException]:
    """An exception and those that led to it, the innermost last."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def one_line(said: object) -> str:
    """A text on one line, without the full stop."""
    return " ".join(str(said).split()).rstrip(".")
