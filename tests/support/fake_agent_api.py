# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fake API server: the agent's few requests, with the real server's rules for conflicts, watches, names and tokens.

Molecule uses a real API server. This one speaks TLS, and refuses what the agent's Role does not allow.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import secrets
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ansible_collections.egress.router.tests.support import namespaces

Json = dict[str, Any]

NAMESPACE = "payments"


class FakeApi:
    """Objects by (kind, name), served on one address of a network namespace, until stop().

    `folder` becomes what the kubelet mounts into a pod for its service account: ca.crt and token.
    """

    def __init__(self, namespace: str, address: str, port: int, folder: Path) -> None:
        self._where = (namespace, address, port)
        self.folder = folder
        self._token = ""
        self.new_token()
        self._context = _certificate(folder, address)
        self.objects: dict[tuple[str, str], Json] = {}
        self.changed = threading.Condition()
        self.requests: list[str] = []
        self.refused: list[str] = []
        self._version = 1000
        # Kinds and names with the version at which each was deleted.
        self._deleted: dict[tuple[str, str], int] = {}
        # Requests wait while this is not set: a server that accepts and does not answer.
        self.thawed = threading.Event()
        self.thawed.set()
        # Seconds that each answer takes.
        self.delay = 0.0
        # As from something between the agent and the API server: 200 with an object that is none.
        self.odd = False
        self._server: http.server.ThreadingHTTPServer | None = None
        self._connections: set[socket.socket] = set()
        self.start()

    @property
    def environment(self) -> dict[str, str]:
        """What the kubelet tells each container."""
        return {"KUBERNETES_SERVICE_HOST": self._where[1], "KUBERNETES_SERVICE_PORT": str(self._where[2])}

    def new_token(self) -> None:
        """The kubelet renews the token, and the old one expires."""
        self._token = secrets.token_hex()
        (self.folder / "token").write_text(self._token)

    def accepts(self, authorization: str | None) -> bool:
        return authorization == f"Bearer {self._token}"

    def start(self) -> None:
        """Listen (again)."""
        api = self

        class Handler(_Handler):
            fake = api

        family = socket.AF_INET6 if ":" in self._where[1] else socket.AF_INET
        listener = namespaces.inside(
            self._where[0], lambda: socket.create_server(self._where[1:], family=family, backlog=64)
        )
        server = http.server.ThreadingHTTPServer(self._where[1:], Handler, bind_and_activate=False)
        server.socket.close()
        # Each connection's thread does the handshake, not the one that accepts.
        server.socket = self._context.wrap_socket(listener, server_side=True, do_handshake_on_connect=False)
        server.daemon_threads = True
        self._server = server
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Gone: nobody listens and all connections are closed."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                # Of the socket below TLS, which another thread is using.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        with self.changed:
            self.changed.notify_all()

    @property
    def stopped(self) -> bool:
        return self._server is None

    def freeze(self) -> None:
        """Accept and never answer, until thaw."""
        self.thawed.clear()
        with self.changed:
            self.changed.notify_all()

    def thaw(self) -> None:
        self.thawed.set()

    def put(self, kind: str, name: str, body: Json) -> str:
        """Create or replace an object, as somebody else would; returns its version."""
        with self.changed:
            self._version += 1
            metadata = {"name": name, "namespace": NAMESPACE, "resourceVersion": str(self._version)}
            self.objects[kind, name] = {**body, "metadata": {**body.get("metadata", {}), **metadata}}
            self.changed.notify_all()
            return str(self._version)

    def get(self, kind: str, name: str) -> Json:
        with self.changed:
            return json.loads(json.dumps(self.objects.get((kind, name), {})))

    def delete(self, kind: str, name: str) -> None:
        with self.changed:
            self._version += 1
            del self.objects[kind, name]
            self._deleted[kind, name] = self._version
            self.changed.notify_all()

    def patch(self, kind: str, name: str, patch: Json) -> tuple[int, Json]:
        """A JSON merge patch (RFC 7386) with the real server's check of resourceVersion."""
        with self.changed:
            current = self.objects.get((kind, name))
            if current is None:
                return 404, {"message": f'{kind} "{name}" not found'}
            wanted = (patch.get("metadata") or {}).get("resourceVersion")
            if wanted is not None and wanted != current["metadata"]["resourceVersion"]:
                return 409, {
                    "message": f'Operation cannot be fulfilled on {kind} "{name}": the object has been modified'
                }
            merged = _merge(current, patch)
            if merged != current:
                self._version += 1
                merged["metadata"]["resourceVersion"] = str(self._version)
                self.objects[kind, name] = merged
                self.changed.notify_all()
            return 200, self.get_locked(kind, name)

    def get_locked(self, kind: str, name: str) -> Json:
        return json.loads(json.dumps(self.objects[kind, name]))

    def events_since(self, kind: str, name: str, version: int) -> list[Json]:
        """What a watch of one object has to say."""
        found = self.objects.get((kind, name))
        if found is not None and int(found["metadata"]["resourceVersion"]) > version:
            return [{"type": "MODIFIED", "object": found}]
        if self._deleted.get((kind, name), 0) > version and found is None:
            gone = {"metadata": {"name": name, "resourceVersion": str(self._deleted[kind, name])}}
            return [{"type": "DELETED", "object": gone}]
        return []

    @property
    def version(self) -> int:
        return self._version


def _certificate(folder: Path, address: str) -> ssl.SSLContext:
    """A certificate of its own for an address, and ca.crt to check it with."""
    key = folder / "key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=fake",
    ]
    command += ["-addext", f"subjectAltName=IP:{address}", "-keyout", str(key), "-out", str(folder / "ca.crt")]
    subprocess.run(command, capture_output=True, check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.crt", key)
    return context


def _merge(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merge(result.get(key), value)
    return result


class _Handler(http.server.BaseHTTPRequestHandler):
    fake: FakeApi
    protocol_version = "HTTP/1.1"
    # As the real server: otherwise each answer waits 40 ms for an acknowledgement between head and body.
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.fake._connections.add(self.connection)

    def finish(self) -> None:
        self.fake._connections.discard(self.connection)
        super().finish()

    def do_GET(self) -> None:
        kind, name, query = self._target()
        if kind == "configmaps" and not name:
            selected = query.get("fieldSelector", "").partition("metadata.name=")[2]
            if not selected.endswith("-rules"):
                self._refuse("list without the name")
            elif query.get("watch") == "true":
                self._watch(kind, selected, query)
            else:
                with self.fake.changed:
                    items = [item for key, item in self.fake.objects.items() if key == ("configmaps", selected)]
                    self._answer(200, {"metadata": {"resourceVersion": str(self.fake.version)}, "items": items})
        elif kind == "leases" and not name and query.get("watch") == "true":
            self._watch(kind, query.get("fieldSelector", "").partition("metadata.name=")[2], query)
        elif kind in ("leases", "endpointslices") and name:
            found = self.fake.get(kind, name)
            self._answer(200 if found else 404, found or {"message": f'{kind} "{name}" not found'})
        else:
            self._refuse(f"get {kind} {name}")

    def do_PATCH(self) -> None:
        kind, name, query = self._target()
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if kind not in ("leases", "endpointslices") or not name:
            self._refuse(f"patch {kind} {name}")
        elif self.headers["Content-Type"] != "application/merge-patch+json":
            self._answer(
                415, {"message": f"the body of the request was in an unknown format {self.headers['Content-Type']}"}
            )
        elif query.get("fieldManager") != "egress.router.agent":
            self._refuse("patch without the field manager")
        elif not (body.get("metadata") or {}).get("resourceVersion"):
            self._refuse(f"patch {kind} {name} without its version: a late one would overwrite another pod's")
        else:
            self._answer(*self.fake.patch(kind, name, body))

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        if not self.fake.accepts(self.headers["Authorization"]):
            self.close_connection = True
            self._answer(401, {"message": "Unauthorized"})
            return False
        return True

    def _target(self) -> tuple[str, str, dict[str, str]]:
        self.fake.requests.append(f"{self.command} {self.path}")
        while not self.fake.thawed.wait(0.1):
            if self.fake.stopped:
                raise ConnectionError
        time.sleep(self.fake.delay)
        parts = urlsplit(self.path)
        rest = parts.path.partition(f"/namespaces/{NAMESPACE}/")[2].split("/")
        return rest[0], rest[1] if len(rest) > 1 else "", dict(parse_qsl(parts.query))

    def _watch(self, kind: str, name: str, query: dict[str, str]) -> None:
        version = int(query["resourceVersion"])
        end = time.monotonic() + float(query["timeoutSeconds"])
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while time.monotonic() < end and not self.fake.stopped:
            with self.fake.changed:
                events = self.fake.events_since(kind, name, version) if self.fake.thawed.is_set() else []
                if not events:
                    self.fake.changed.wait(0.1)
            for event in events:
                version = int(event["object"]["metadata"]["resourceVersion"])
                self._chunk(json.dumps(event).encode() + b"\n")
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _refuse(self, what: str) -> None:
        self.fake.refused.append(what)
        self._answer(403, {"message": f"forbidden: {what}"})

    def _answer(self, status: int, body: Json) -> None:
        data = json.dumps({"kind": "Odd"} if self.fake.odd else body).encode()
        self.send_response(200 if self.fake.odd else status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *arguments: object) -> None:
        pass
