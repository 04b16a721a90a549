"""Neutron: its configuration, its tables, its process."""

from __future__ import annotations

from pathlib import Path

from egress_support import process

from . import web
from .settings import PASSWORD, Instance

_SERVE = Path(__file__).with_name("serve.py")
_CREATE_TABLES = """
import sys
from sqlalchemy import create_engine
from neutron.db.migration.models import head
head.get_metadata().create_all(create_engine(sys.argv[1]))
"""


def configure(instance: Instance, database_url: str) -> None:
    state, release = instance.state, instance.release
    driver = "openvswitch" if release.noauth else "linuxbridge"
    (state / "neutron.conf").write_text(f"""[DEFAULT]
bind_host = 127.0.0.1
bind_port = {instance.port + 1}
core_plugin = ml2
service_plugins = trunk
auth_strategy = {"noauth" if release.noauth else "keystone"}
api_paste_config = {release.venv}/etc/neutron/api-paste.ini
transport_url = {instance.transport_url}
api_workers = 1
rpc_workers = {0 if instance.transport_url.startswith("fake:") else 1}
rpc_state_report_workers = 0
dhcp_agent_notification = false
notify_nova_on_port_status_changes = false
notify_nova_on_port_data_changes = false
# Otherwise it is stuck when 100 connections were left open, for a quarter of an hour.
wsgi_keep_alive = false
state_path = {state}
log_file = {state}/neutron-requests.log
[database]
connection = {database_url}
[oslo_concurrency]
lock_path = {state}/locks
[experimental]
linuxbridge = true
[keystone_authtoken]
www_authenticate_uri = {instance.identity_url}
auth_url = {instance.identity_url}
auth_type = password
username = admin
password = {PASSWORD}
project_name = admin
user_domain_id = default
project_domain_id = default
""")
    (state / "ml2_conf.ini").write_text(f"""[ml2]
type_drivers = flat,local
tenant_network_types = local
mechanism_drivers = {driver}
extension_drivers = port_security
[ml2_type_flat]
flat_networks = *
""")


def create_tables(instance: Instance, database_url: str) -> None:
    """The tables. On MariaDB by Neutron's migrations; they do not run on SQLite, where they are made from the models.

    Only the migrations make the rules of default security groups.
    """
    if instance.database == "mariadb":
        files = ["--config-file", str(instance.state / "neutron.conf"), "--config-file", str(_ml2(instance))]
        process.run([str(instance.release.venv / "bin/neutron-db-manage"), *files, "upgrade", "heads"])
    else:
        process.run([str(instance.release.venv / "bin/python"), "-c", _CREATE_TABLES, database_url])


def start(instance: Instance) -> None:
    state, binaries = instance.state, instance.release.venv / "bin"
    files = [str(state / "neutron.conf"), str(_ml2(instance))]
    if (binaries / "neutron-server").exists():
        command = [str(binaries / "neutron-server"), *(f"--config-file={file}" for file in files)]
    else:
        # -P: our own neutron.py is not to be found in the place of Neutron.
        command = [str(binaries / "python"), "-P", str(_SERVE), str(instance.port + 1)]
    environment = {"OS_NEUTRON_CONFIG_DIR": str(state), "OS_NEUTRON_CONFIG_FILES": "neutron.conf;ml2_conf.ini"}
    process.start(state, "neutron", command, environment)


def wait(instance: Instance) -> None:
    process.wait_for("Neutron", instance.state, "neutron", lambda: web.answers(instance.network_url))


def _ml2(instance: Instance) -> Path:
    return instance.state / "ml2_conf.ini"
