# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The only file that imports openstacksdk.

Works with openstacksdk 4.0 and later. (openstack.cloud 2.5.0 does not work with 4.15 and later, so nothing of it is
imported; a test compares the options.) All failures become exceptions of _common/errors.py. A Cloud may be used by several
threads at once. Reads take many ids at once, so that the number of requests does not grow with the routers.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import traceback
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from .._common.causes import one_line, reason
from .._common.errors import ApiError, Conflict, EgressError, Forbidden, NotFound, Unreachable
from .._common.failing import FailingModule
from .port import RESERVATION_OWNER, Port, Subnet, reservation_name

IMPORT_ERROR = None
try:
    import openstack
    from keystoneauth1 import exceptions as keystone
    from openstack import exceptions as sdk
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

MINIMUM_VERSION = (4, 0)
# The connection options of openstack.cloud, unchanged. There, `auth` is no_log as a whole, which would hide the URL and the
# project from messages too: here its secrets are registered one by one, see _secrets.
AUTH_SPEC: dict[str, Any] = {
    "cloud": {"type": "raw"},
    "auth_type": {"type": "str"},
    "auth": {"type": "dict", "no_log": False},
    "region_name": {"type": "str"},
    "validate_certs": {"type": "bool", "aliases": ["verify"]},
    "ca_cert": {"type": "str", "aliases": ["cacert"]},
    "client_cert": {"type": "str", "aliases": ["cert"]},
    "client_key": {"type": "str", "no_log": True, "aliases": ["key"]},
    "api_timeout": {"type": "int"},
    "interface": {
        "type": "str",
        "default": "public",
        "choices": ["public", "internal", "admin"],
        "aliases": ["endpoint_type"],
    },
}
# openstacksdk's names for them, where they differ.
_SDK_NAMES = {"validate_certs": "verify", "ca_cert": "cacert", "client_cert": "cert", "client_key": "key"}
# The keys of `auth` that may be shown; all others are secrets.
_PUBLIC = re.compile(r"(.*_)?(url|name|id|username|endpoint)\Z")
_SECRET = re.compile(r"password|passcode|secret|token")
# Ids in one request: 100 times 47 characters are below any server's limit for a URL (8 KiB or more).
_BATCH = 100
_URL = re.compile(r"https?://[^\s'\")]+")
_RULE = re.compile(r"rule:([a-z_]+(?::[a-z_]+)+|(?:create|update|delete|get)_[a-z_]+)")


class OpenStackModule(FailingModule, AnsibleModule):
    """An Ansible module with the connection options of openstack.cloud."""

    def __init__(self, argument_spec: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(argument_spec={**AUTH_SPEC, **argument_spec}, supports_check_mode=True, **kwargs)
        self.no_log_values.update(_secrets(self.params["auth"], self.params["cloud"]))

    def connect(self) -> Cloud:
        """Connects to the cloud of the options or the environment."""
        if IMPORT_ERROR:
            self.fail_json(msg=missing_required_lib("openstacksdk"), exception=IMPORT_ERROR)
        version = importlib.metadata.version("openstacksdk")
        if tuple(int(part) for part in version.split(".")[:2]) < MINIMUM_VERSION:
            wanted = ".".join(map(str, MINIMUM_VERSION))
            self.fail(
                f"openstacksdk {version} is too old: install version {wanted} or later on the host that runs the module"
            )
        with _translated("connect to the cloud"):
            connection = openstack.connect(**self._connection_options())
            # Authenticates now, so that wrong credentials are not reported as a problem of a port.
            connection.session.get_token()
            return Cloud(connection)

    def _connection_options(self) -> dict[str, Any]:
        cloud = self.params["cloud"]
        if not isinstance(cloud, Mapping):
            return {_SDK_NAMES.get(name, name): self.params[name] for name in AUTH_SPEC}
        for name in AUTH_SPEC:
            if name != "cloud" and self.params[name] != AUTH_SPEC[name].get("default"):
                self.fail(f"{name} cannot be used when cloud is a dictionary: add it to cloud instead")
        return dict(cloud)


class Cloud:
    """One OpenStack cloud, used with one set of credentials."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.region: str = connection.config.get_region_name() or ""
        with _translated("connect to Neutron"):
            self._network = connection.network

    def ports(self, server_ids: Iterable[str] = (), port_ids: Iterable[str] = ()) -> list[Port]:
        """The visible ports of these servers and the ports with these ids, each once."""
        found = [*self._ports("device_id", server_ids), *self._ports("id", port_ids)]
        return list({port.id: port for port in found}.values())

    def ports_with(self, addresses: Iterable[str]) -> list[Port]:
        """The visible ports with one of these fixed IPs, on any network."""
        return self._ports("fixed_ips", (f"ip_address={address}" for address in addresses))

    def port(self, port_id: str) -> Port:
        """One port; NotFound if it does not exist."""
        with _translated(f"read port {port_id}"):
            return _port(self._network.get_port(port_id))

    def subnets(self, network_ids: Iterable[str]) -> list[Subnet]:
        """The visible subnets of these networks."""
        found = []
        for some in _batches(network_ids):
            with _translated("list the subnets"):
                found += [
                    Subnet(item.id, item.network_id, item.cidr) for item in self._network.subnets(network_id=some)
                ]
        return found

    def has_extension(self, alias: str) -> bool:
        """Whether Neutron has an API extension."""
        with _translated("list the extensions of Neutron"), suppress(sdk.NotFoundException):
            return self._network.find_extension(alias, ignore_missing=False) is not None
        return False

    def set_pairs(self, port: Port, pairs: list[dict[str, Any]], guarded: bool = True) -> Port:
        """Writes a port's whole list of pairs; if `guarded`, Conflict when the port has changed since it was read."""
        revision = {"if_revision": port.revision} if guarded else {}
        with _translated(f"change port {port}", lambda: self._owner(port.network_id)):
            return _port(self._network.update_port(port.id, allowed_address_pairs=pairs, **revision))

    def reserve(self, network_id: str, subnet_id: str, address: str, mac: str, beside: bool = False) -> Port:
        """Creates an unbound port with the address and the MAC address, so that Neutron assigns them to nobody else.

        `beside`: another port has the MAC address already, of which Neutron takes one on a network. This one gets any.
        """
        with _translated(f"reserve {address}", lambda: self._owner(network_id)):
            made = self._network.create_port(
                network_id=network_id,
                name=reservation_name(address, mac if beside else ""),
                description="Reserves the address of an egress router. Created by egress.router.",
                device_owner=RESERVATION_OWNER,
                fixed_ips=[{"subnet_id": subnet_id, "ip_address": address}],
                **({} if beside else {"mac_address": mac}),
            )
            return _port(made)

    def delete_port(self, port: Port) -> None:
        """Deletes a port, if it still exists."""
        with _translated(f"delete port {port}"):
            self._network.delete_port(port.id, ignore_missing=True)

    def _ports(self, key: str, values: Iterable[str]) -> list[Port]:
        found: list[Port] = []
        for some in _batches(values):
            with _translated("list the ports"):
                found += [_port(item) for item in self._network.ports(**{key: some})]
        return found

    def _owner(self, network_id: str) -> str:
        """The project of a network, for the message about a permission that only its owner has."""
        try:
            network = self._network.get_network(network_id)
        except sdk.SDKException:
            return ""
        return f"network {network.name or network.id} belongs to project {network.project_id}"


def _batches(values: Iterable[str]) -> list[list[str]]:
    unique = list(dict.fromkeys(values))
    return [unique[start : start + _BATCH] for start in range(0, len(unique), _BATCH)]


def _port(item: Any) -> Port:
    return Port(
        id=item.id,
        network_id=item.network_id,
        name=item.name or "",
        device_id=item.device_id or "",
        device_owner=item.device_owner or "",
        project_id=item.project_id or "",
        mac=item.mac_address or "",
        revision=item.revision_number or 0,
        # Without the extension port-security the field is missing: there is nothing that could be disabled.
        port_security=item.is_port_security_enabled is not False,
        fixed_ips=tuple((fixed["subnet_id"], fixed["ip_address"]) for fixed in item.fixed_ips or ()),
        pairs=tuple(dict(pair) for pair in item.allowed_address_pairs or ()),
        subports=tuple(sub["port_id"] for sub in (item.trunk_details or {}).get("sub_ports") or ()),
    )


def _secrets(auth: Any, cloud: Any) -> set[str]:
    """The values of the options auth and cloud that must not appear in results and messages."""
    found: set[str] = set()
    if isinstance(cloud, Mapping):
        found |= {str(value) for key, value in cloud.items() if _SECRET.search(str(key))}
        found |= _secrets(cloud.get("auth"), None)
    if isinstance(auth, Mapping):
        found |= {str(value) for key, value in auth.items() if not _PUBLIC.match(str(key))}
    return found - {"", "None"}


@contextmanager
def _translated(what: str, owner: Callable[[], str] = str) -> Generator[None, None, None]:
    """Turns the libraries' exceptions into ours. `owner`: tells who may do it, called when a permission is missing."""
    try:
        yield
    except sdk.ConfigException as error:
        raise EgressError(
            f"cannot use the configuration of the cloud: {one_line(error)}: check cloud or OS_CLOUD, auth and clouds.yaml "
            "(OS_CLIENT_CONFIG_FILE)"
        ) from error
    except sdk.HttpException as error:
        raise _http_error(error, what, owner) from error
    except keystone.MissingRequiredOptions as error:
        missing = ", ".join(option.name.replace("-", "_") for option in error.options)
        raise EgressError(
            f"no credentials for OpenStack ({missing} missing): name a cloud of clouds.yaml in cloud or OS_CLOUD, or set auth or "
            "the OS_ environment variables"
        ) from error
    except (keystone.Unauthorized, keystone.NotFound) as error:
        # Keystone answers 404 to an unknown token, and so does a server that is not Keystone; only the text differs.
        if isinstance(error, keystone.NotFound) and "token" not in str(error):
            raise NotFound(f"cannot {what}: there is no Keystone at auth_url: {one_line(error)}") from error
        raise Forbidden(
            f"cannot {what}: OpenStack does not accept the credentials: {one_line(error)}: renew the token or password, and "
            "check the user, the project and their domains"
        ) from error
    except keystone.EndpointNotFound as error:
        raise EgressError(
            f"cannot {what}: the service catalog has no network endpoint for this region and interface: {one_line(error)}: check "
            "region_name and interface"
        ) from error
    except (keystone.ConnectFailure, keystone.DiscoveryFailure, keystone.SSLError, keystone.ConnectTimeout) as error:
        raise Unreachable(
            f"cannot {what}: cannot reach OpenStack at {_url(error)}: {reason(error) or one_line(error)}"
        ) from error
    except (sdk.SDKException, keystone.ClientException) as error:
        raise ApiError(f"cannot {what}: {one_line(error)}") from error


def _http_error(error: Any, what: str, owner: Callable[[], str]) -> EgressError:
    kind, said = _answer(error)
    status = error.status_code
    if status == 401:
        return Forbidden(
            f"cannot {what}: Neutron does not accept the token: it is expired or invalid, renew the credentials"
        )
    if status == 403:
        rules = ", ".join(dict.fromkeys(_RULE.findall(said))) or said
        whose = owner()
        return Forbidden(
            f"cannot {what}: Neutron's policy ({rules}) forbids it{f'; {whose}' if whose else ''}: use the credentials of an "
            "admin or of a project that owns both the port and its network, or have the policy changed"
        )
    if status == 404:
        return NotFound(f"cannot {what}: it does not exist or belongs to another project")
    if status == 412:
        return Conflict(f"cannot {what}: it was changed by others at the same time")
    if kind == "AddressPairAndPortSecurityRequired":
        return Conflict(f"cannot {what}: its port security was disabled meanwhile")
    if kind == "AllowedAddressPairExhausted":
        return ApiError(
            f"cannot {what}: {said}: Neutron's option max_allowed_address_pair limits the pairs of a port; remove pairs that "
            "are not needed, or have the limit raised"
        )
    if status in (502, 503, 504):
        return Unreachable(f"cannot {what}: {_url(error)} answered {status}: {said}")
    return ApiError(f"cannot {what}: Neutron answered {status}: {said}")


def _answer(error: Any) -> tuple[str, str]:
    """The kind of Neutron's error, if it says so, and its message."""
    try:
        body = json.loads(error.response.text)
        inner = next((value for value in body.values() if isinstance(value, Mapping)), body)
    except (AttributeError, TypeError, ValueError):
        return "", str(error.details or error.message or error)
    return str(inner.get("type") or ""), str(inner.get("message") or error.details or error).strip().rstrip(".")


def _url(error: Exception) -> str:
    match = _URL.search(f"{getattr(error, 'url', None) or ''} {error}")
    return match[0].rstrip(".:,") if match else "the configured address"
