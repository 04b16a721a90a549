# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The thread that writes the endpoints of the serving pod. It may hang in a request, and nobody waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from ansible_collections.egress.router.plugins.module_utils._contract import names

from ..config import Config
from ..log import Problem, event
from . import life
from .endpoints import NOBODY
from .kube import ApiError, Kube, Timeout

# Published again after this, in case somebody else changed the slices.
REPUBLISH_SECONDS = 30.0
# After a failure.
RETRY_SECONDS = 0.5
# How often a pod that ends looks whether the next one is in the slices.
LOOK_SECONDS = 0.1
# All requests of one round time out within this.
ROUND_SECONDS = 60.0


class Publisher:
    """Writes while `serves()`, so a pod that has lost the right overwrites nobody. Calls `changed` when something succeeded or failed.

    `error`: why the last attempt failed; empty if it did not.
    """

    def __init__(self, config: Config, kube: Kube, serves: Callable[[], bool]) -> None:
        self._config = config
        self._kube = kube
        self._serves = serves
        self.changed: Callable[[], None] = lambda: None
        self._wake = threading.Event()
        self._stopping = False
        self._patches: dict[int, dict[str, Any]] = {}
        self._patched: dict[int, dict[str, Any]] = {}
        self._patched_at = 0.0
        # Of the slices, by family. With it in each patch, a late one of a pod that serves no more changes nothing.
        self._versions: dict[int, str] = {}
        self._problem = Problem("publish-failed")
        self.error = ""

    def start(self) -> None:
        """Write from now on."""
        threading.Thread(target=self._run, name="publisher", daemon=True).start()

    @property
    def published(self) -> bool:
        """Whether the slices are as the last publish() demands."""
        return bool(self._patches) and self._patched == self._patches

    def publish(self, patches: dict[int, dict[str, Any]]) -> None:
        """Write these patches, by family, to the EndpointSlices, soon."""
        self._patches = patches
        self._wake.set()

    def forget(self) -> None:
        """Leave the slices alone: they are another pod's now."""
        self._patches = {}
        self._patched = {}
        self._fail("")

    def stop(self) -> None:
        """Begin nothing any more."""
        self._stopping = True
        self._wake.set()

    def withdraw(self, timeout: Timeout, patience: float = 0.0) -> None:
        """The pod ends: remove it from the slices, and no other one that serves already. Raises ApiError.

        For `patience` seconds the next one may put itself in its place, so that the Service always leads somewhere.
        """
        until = time.monotonic() + patience
        for family in self._patches:
            while time.monotonic() < until and self._is_in(self._read(family, timeout)):
                time.sleep(LOOK_SECONDS)
            self._withdraw(family, timeout)

    def _run(self) -> None:
        while not self._stopping:
            life.beat(ROUND_SECONDS)
            self._wake.clear()
            if self._serves():
                self._write()
            done = not self._patches or self._patched == self._patches
            self._wake.wait(REPUBLISH_SECONDS / 3 if done else RETRY_SECONDS)

    def _write(self) -> None:
        patches = self._patches
        if not patches or (patches == self._patched and time.monotonic() < self._patched_at + REPUBLISH_SECONDS):
            return
        try:
            for family, patch in patches.items():
                if not self._patch(family, patch):
                    return
        except ApiError as error:
            self._patched = {}
            # After 409 somebody has changed the slice: it is read again, if this pod still serves.
            if error.status != 409:
                self._fail(str(error))
            else:
                self._wake.set()
            return
        self._patched_at = time.monotonic()
        self._fail("")
        if patches != self._patched:
            event("published", families=",".join(map(str, patches)), withdrawn=NOBODY in patches.values())
            self._patched = patches
            self.changed()

    def _patch(self, family: int, patch: dict[str, Any]) -> bool:
        """Returns whether it was written: who learns the version while he serves overwrites nobody who serves after him."""
        version = self._versions.get(family)
        if version is None:
            version = self._read(family)["metadata"]["resourceVersion"]
        if not self._serves():
            return False
        self._patch_version(family, patch, version)
        return True

    def _withdraw(self, family: int, timeout: Timeout) -> None:
        version = self._versions.get(family)
        if version is not None:
            try:
                self._patch_version(family, NOBODY, version, timeout)
                return
            except ApiError as error:
                if error.status != 409:
                    raise
        found = self._read(family, timeout)
        if self._is_in(found):
            self._patch_version(family, NOBODY, found["metadata"]["resourceVersion"], timeout)

    def _is_in(self, found: dict[str, Any]) -> bool:
        return any(
            (item.get("targetRef") or {}).get("name") == self._config.pod for item in found.get("endpoints") or ()
        )

    def _read(self, family: int, timeout: Timeout | None = None) -> dict[str, Any]:
        try:
            return self._kube.endpoint_slice(family, timeout)
        except ApiError as error:
            raise self._explained(family, error) from error

    def _patch_version(self, family: int, patch: dict[str, Any], version: str, timeout: Timeout | None = None) -> None:
        # Taken out: after a failure nobody knows the version.
        self._versions.pop(family, None)
        try:
            answer = self._kube.patch_endpoint_slice(family, patch, version, timeout)
        except ApiError as error:
            raise self._explained(family, error) from error
        self._versions[family] = answer["metadata"]["resourceVersion"]

    def _explained(self, family: int, error: ApiError) -> ApiError:
        if error.status != 404:
            return error
        name = names.endpoint_slice(self._config.router, family)
        return ApiError(404, f"EndpointSlice {name} is gone, so the Service leads nowhere: deploy the router again")

    def _fail(self, error: str) -> None:
        self._problem.note(error)
        if error != self.error:
            self.error = error
            self.changed()
