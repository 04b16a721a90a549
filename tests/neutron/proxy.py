"""A proxy in front of Neutron that counts the requests, and does something before one of them goes on."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

Hook = Callable[[str, str], None]


class Proxy:
    """`seen`: method and path of each request, in order. `before`: called with them before the request goes on."""

    def __init__(self, target: str) -> None:
        self.seen: list[tuple[str, str]] = []
        self.before: Hook = lambda method, path: None
        self.url = ""
        self.target = target

    def count(self, method: str, path: str = "") -> int:
        """How many requests of a method there were to paths that begin with `path`."""
        return sum(1 for one, where in self.seen if one == method and where.startswith(path))


@contextmanager
def proxy(target: str) -> Iterator[Proxy]:
    """A running proxy to `target`."""
    state = Proxy(target)
    port = urlsplit(target).port

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            state.seen.append((self.command, self.path))
            state.before(self.command, self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request(self.command, self.path, body or None, dict(self.headers))
            answer = connection.getresponse()
            data = answer.read()
            connection.close()
            # Keystone's and Neutron's lists of versions name their own addresses.
            data = data.replace(target.encode(), state.url.encode())
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_one

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
