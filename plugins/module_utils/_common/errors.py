# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""What can go wrong outside of our own code. Every message is a sentence for the user."""

from __future__ import annotations


class EgressError(Exception):
    """Base of all: a module that meets one fails with its text."""


class InputError(EgressError):
    """The options cannot be used."""


class ApiError(EgressError):
    """The API server said no. `said`: its own words."""

    said: str = ""


class NotFound(ApiError):
    """Something is not there. `kind`: the plural name of what it is; empty if the API server does not know the kind."""

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind


class Conflict(ApiError):
    """Somebody else changed the object, or owns the field."""


class Immutable(ApiError):
    """The change is of a field that cannot change."""


class Forbidden(ApiError):
    """The identity lacks a right."""


class Denied(Forbidden):
    """The identity has the right, but a policy of the API server does not admit the object."""


class Unreachable(EgressError):
    """No answer from the API server."""


class ServerError(ApiError, Unreachable):
    """The API server failed: it neither did what was asked nor refused it, and may do it when it is asked again."""


class NotReady(EgressError):
    """What was waited for did not come about; the message has the reason."""
