"""Serves Neutron's API with the standard library, for releases without neutron-server: serve.py PORT

Run by Neutron's own Python. Where the configuration is says the environment: OS_NEUTRON_CONFIG_DIR and _FILES.
"""

from __future__ import annotations

import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server

from neutron.wsgi.api import application
from sqlalchemy.orm import configure_mappers


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


# Otherwise the first GET of a port answers 500: "Port has no attribute port_forwardings".
configure_mappers()
with make_server("127.0.0.1", int(sys.argv[1]), application, server_class=Server) as server:
    server.serve_forever()
