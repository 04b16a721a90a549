"""RabbitMQ, over which Neutron and its agent talk. On the namespace's loopback, so its usual ports are free."""

from __future__ import annotations

import socket
from pathlib import Path

from egress_support import process

# Debian's /usr/sbin/rabbitmq-server changes the user and takes the machine's configuration; this one does not.
SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_PORT = 5672


def start(state: Path) -> None:
    # RabbitMQ would start one in the background that nobody stops.
    process.start(state, "epmd", ["epmd", "-address", "127.0.0.1"], {})
    process.wait_for("epmd", state, "epmd", lambda: _listens(4369))
    home = state / "rabbitmq"
    home.mkdir()
    settings = {
        "HOME": str(home),
        "RABBITMQ_NODENAME": "rabbit@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_MNESIA_BASE": str(home),
        "RABBITMQ_LOG_BASE": str(home),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_CONFIG_FILE": str(home / "none"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
        # Few schedulers, which do not spin while they have nothing to do.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
    }
    process.start(state, "rabbitmq", [str(SERVER)], settings)
    process.wait_for("RabbitMQ", state, "rabbitmq", lambda: _listens(_PORT))


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
