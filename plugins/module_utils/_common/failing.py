# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""How every module of the collection fails, whichever world it talks to."""

from __future__ import annotations

import traceback
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, NoReturn

from .errors import EgressError


class FailingModule:
    """Beside a class that has Ansible's fail_json."""

    @contextmanager
    def errors(self) -> Generator[None, None, None]:
        """Turns our exceptions into the module's failure."""
        try:
            yield
        except EgressError as error:
            self.fail(str(error), exception=traceback.format_exc())

    def fail(self, message: str, **result: Any) -> NoReturn:
        """Fails with `message` and what there is of a result."""
        self.fail_json(msg=message, **result)  # type: ignore[attr-defined]
        raise SystemExit(1)  # fail_json has left already
