"""Keystone: its configuration, its first content, its process."""

from __future__ import annotations

from pathlib import Path

from egress_support import process

from . import web
from .settings import PASSWORD, REGION, Instance

# Projects with a user of the same name. Networks belong to "owner"; "tenant" only uses them; "admin" may do all.
PROJECTS = ("owner", "tenant")


def configure(instance: Instance, database_url: str) -> None:
    state = instance.state
    (state / "keystone.conf").write_text(f"""[DEFAULT]
log_file = {state}/keystone-requests.log
[database]
connection = {database_url}
[token]
provider = fernet
[fernet_tokens]
key_repository = {state}/fernet
[credential]
key_repository = {state}/credential
[identity]
password_hash_rounds = 4
""")
    for keys in ("fernet", "credential"):
        (state / keys).mkdir(mode=0o700, exist_ok=True)


def fill(instance: Instance) -> None:
    """Tables, keys and the admin. Only once: the databases are kept as a template."""
    manage = [
        str(instance.release.venv / "bin/keystone-manage"),
        "--config-file",
        str(instance.state / "keystone.conf"),
    ]
    owner = ["--keystone-user", "root", "--keystone-group", "root"]
    process.run([*manage, "db_sync"])
    process.run([*manage, "fernet_setup", *owner])
    process.run([*manage, "credential_setup", *owner])
    process.run(
        [
            *manage,
            "bootstrap",
            f"--bootstrap-password={PASSWORD}",
            f"--bootstrap-region-id={REGION}",
            *(f"--bootstrap-{kind}-url={instance.identity_url}" for kind in ("public", "admin", "internal")),
        ]
    )


def start(instance: Instance) -> None:
    state = instance.state
    command = [str(instance.release.venv / "bin/keystone-wsgi-public"), "--host", "127.0.0.1"]
    settings = {"OS_KEYSTONE_CONFIG_DIR": str(state), "OS_KEYSTONE_CONFIG_FILES": "keystone.conf"}
    process.start(state, "keystone", [*command, "--port", str(instance.port)], settings)


def wait(instance: Instance) -> None:
    process.wait_for("Keystone", instance.state, "keystone", lambda: web.answers(instance.identity_url))


def seed(instance: Instance) -> None:
    """The projects and their users, and Neutron's place in the catalogue."""
    api = web.Identity(instance)
    service = api.create("service", name="neutron", type="network")
    for interface in ("public", "internal", "admin"):
        api.create(
            "endpoint",
            service_id=service,
            interface=interface,
            region_id=REGION,
            url=instance.network_url,
        )
    member = api.find("role", "member")
    for name in PROJECTS:
        project = api.create("project", name=name, domain_id="default")
        user = api.create("user", name=name, domain_id="default", password=PASSWORD)
        api.put(f"/projects/{project}/users/{user}/roles/{member}")


def clouds_yaml(instance: Instance) -> None:
    """A clouds.yaml with one cloud for each project."""
    lines = ["clouds:"]
    for name in ("admin", *PROJECTS):
        auth = f"auth_url: {instance.identity_url}, username: {name}, password: {PASSWORD}, project_name: {name}"
        domains = "user_domain_id: default, project_domain_id: default"
        lines += [
            f"  {name}:",
            f"    region_name: {REGION}",
            "    api_timeout: 120",
            f"    auth: {{{auth}, {domains}}}",
        ]
    _write(instance, lines)


def clouds_yaml_without_keystone(instance: Instance) -> None:
    """A clouds.yaml for a Neutron that authenticates nobody. Without /v2.0: openstacksdk looks for versions itself."""
    settings = f"{{auth_type: none, network_endpoint_override: '{instance.network_url}'}}"
    _write(instance, ["clouds:", f"  admin: {settings}"])


def clouds_file(instance: Instance) -> Path:
    return instance.state / "clouds.yaml"


def _write(instance: Instance, lines: list[str]) -> None:
    clouds_file(instance).write_text("\n".join(lines) + "\n")
