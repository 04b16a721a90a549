"""Makes servers in the namespace reachable on the machine's loopback: relay.py PORT...

The sockets that listen are made on the machine, those to the servers in the namespace: a socket stays where it was made.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

from egress_neutron import namespace


async def main(ports: list[int]) -> None:
    listening = [socket.create_server(("127.0.0.1", port)) for port in ports]
    namespace.enter()
    for port, listener in zip(ports, listening, strict=True):
        await asyncio.start_server(_relay_to(port), sock=listener)
    await asyncio.Event().wait()


def _relay_to(port: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_copy(reader, server_writer), _copy(server_reader, writer))

    return relay


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


asyncio.run(main([int(port) for port in sys.argv[1:]]))
