"""Serves Neutron's API with the standard library, for releases without neutron-server: serve.py PORT

Run by Neutron's own Python. Where the configuration is says the environment: OS_NEUTRON_CONFIG_DIR and _FILES.
"""

from __future__ import annotations

import sys
from wsgiref.simple_server import make_server

# Neutron reads the command line while it is imported.
port = int(sys.argv.pop())

from neutron.wsgi.api import application  # noqa: E402
from sqlalchemy.orm import configure_mappers  # noqa: E402

# Otherwise the first GET of a port answers 500: "Port has no attribute port_forwardings".
configure_mappers()
# One request after another: SQLite takes one writer.
with make_server("127.0.0.1", port, application) as server:
    server.serve_forever()
