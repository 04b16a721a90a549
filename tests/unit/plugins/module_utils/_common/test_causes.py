# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reason of a failed connection is that of the innermost exception."""

from __future__ import annotations

import errno
import itertools
import os
import ssl

import pytest

from ansible_collections.egress.router.plugins.module_utils._common.causes import one_line, reason, refused_certificate


def wrapped(*errors: Exception) -> Exception:
    """Each raised while the one before was handled, as libraries do."""
    for inner, outer in itertools.pairwise(errors):
        outer.__context__ = inner
    return errors[-1]


def certificate() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            wrapped(
                ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED)),
                OSError("x"),
                ValueError("y"),
            ),
            "Connection refused",
        ),
        (wrapped(TimeoutError("timed out"), ValueError("HTTPSConnectionPool(...) (connect timeout=1)")), "timed out"),
        (wrapped(certificate(), OSError("SSLError(...)")), "certificate verify failed (self-signed certificate)"),
        (ValueError("Something else"), ""),
    ],
)
def test_reason(error: Exception, said: str) -> None:
    assert reason(error) == said


def test_a_refused_certificate() -> None:
    assert refused_certificate(wrapped(certificate(), ValueError("x"))) == "self-signed certificate"
    assert refused_certificate(OSError("CERTIFICATE_VERIFY_FAILED, says a text")) == ""


def test_one_line() -> None:
    assert one_line(" a\n b. ") == "a b"
