"""What vCenter's API cannot do: counting, faults, calls that wait, hosts that do not answer. See simulator/control.go."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any


class Control:
    """The simulator's control endpoint."""

    def __init__(self, url: str) -> None:
        self._url = url

    def calls(self) -> dict[str, int]:
        """The number of SOAP requests since `forget_calls`, by method."""
        counted: dict[str, int] = json.loads(self._request("GET", "/calls"))
        return counted

    def forget_calls(self) -> None:
        self._request("DELETE", "/calls")

    def fail(self, method: str, fault: str, on: str = "", times: int = 1, in_task: bool = False) -> None:
        """The next calls of `method` fail, with a `fault` by its name in the API, such as HostCommunication.

        `on`: only those for the entity of that name; for a host's network system it is the host's name.
        `in_task`: the call starts a task, and the task fails.
        """
        planned = {"method": method, "fault": fault, "object": on, "times": times, "in_task": in_task}
        self._request("POST", "/faults", planned)

    def forget_faults(self) -> None:
        self._request("DELETE", "/faults")

    @contextmanager
    def held(self, method: str) -> Iterator[HeldCall]:
        """The next call of `method` waits until the block ends, or until it is released."""
        call = HeldCall(self, f"/holds?{urllib.parse.urlencode({'method': method})}")
        try:
            yield call
        finally:
            call.release()

    def host(self, name: str, state: str) -> None:
        """Sets a host's connection state: connected, disconnected, notResponding."""
        self._request("POST", "/hosts", {"host": name, "state": state})

    def guest(self, moid: str, addresses: Mapping[str, Sequence[str]]) -> None:
        """Lets a VM's VMware Tools report addresses with their prefix lengths, by the NIC's MAC."""
        nics = [{"mac": mac, "addresses": list(those)} for mac, those in addresses.items()]
        self._request("POST", "/guests", {"vm": moid, "nics": nics})

    def _request(self, method: str, path: str, body: Any = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data=data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text: bytes = answer.read()
                return text
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.read().decode().strip()}") from None


class HeldCall:
    """A call that will be kept waiting."""

    def __init__(self, control: Control, where: str) -> None:
        self._control = control
        self._where = where
        control._request("POST", where)

    def wait(self) -> None:
        """Until it has come: what it follows, such as the module's reading, is done then."""
        self._control._request("GET", self._where)

    def release(self) -> None:
        self._control._request("DELETE", self._where)
