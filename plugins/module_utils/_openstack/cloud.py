# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to egress.router: may change in any release.

"""The one seam to openstacksdk: nothing else in the collection imports it.

Works with openstacksdk 4.0 and newer. (openstack.cloud 2.5.0 does not run with 4.15 and newer, so nothing of it is
imported; its options are declared here again.) Whatever goes wrong comes out as one of our own exceptions (_errors.py).
A Cloud may be used by several threads at once. Reads take many ids at once, so that calls do not grow with the routers.
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

from .._common.errors import ApiError, Conflict, EgressError, Forbidden, NotFound, Unreachable
from .._common.failing import FailingModule
from .port import Port, Subnet

IMPORT_ERROR = None
try:
    import openstack
    from keystoneauth1 import exceptions as keystone
    from openstack import exceptions as sdk
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

MINIMUM_VERSION = (4, 0)
# The options of openstack.cloud for the connection, as they are there. Its `auth` is no_log as a whole, which would
# also hide the URL and the project from messages: what is secret in it is registered one by one, see _secrets.
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
# What may be shown of `auth`; everything else in it is a secret.
_PUBLIC = re.compile(r"(.*_)?(url|name|id|username|endpoint)\Z")
_SECRET = re.compile(r"password|passcode|secret|token")
# Ids in one request: 100 times 47 characters fit into any server's limit for a URL (8 KiB and more).
_BATCH = 100
_URL = re.compile(r"https?://[^\s'\")]+")
_RULE = re.compile(r"rule:([a-z_]+(?::[a-z_]+)+|(?:create|update|delete|get)_[a-z_]+)")
# Marks the ports that only hold an address. Neutron keeps "network:" for its own.
RESERVATION_OWNER = "egress.router:reservation"


class OpenStackModule(FailingModule, AnsibleModule):
    """An Ansible module with the options of openstack.cloud for the connection."""

    def __init__(self, argument_spec: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(argument_spec={**AUTH_SPEC, **argument_spec}, supports_check_mode=True, **kwargs)
        self.no_log_values.update(_secrets(self.params["auth"], self.params["cloud"]))

    def connect(self) -> Cloud:
        """The cloud that the options or the environment name."""
        if IMPORT_ERROR:
            self.fail_json(msg=missing_required_lib("openstacksdk"), exception=IMPORT_ERROR)
        version = importlib.metadata.version("openstacksdk")
        if tuple(int(part) for part in version.split(".")[:2]) < MINIMUM_VERSION:
            wanted = ".".join(map(str, MINIMUM_VERSION))
            self.fail(f"openstacksdk {version} is too old: install {wanted} or newer where the module runs")
        with _translated("find the cloud"):
            connection = openstack.connect(**self._connection_options())
            # The catalogue is asked for now, so that what is wrong with the credentials is not blamed on a port.
            connection.session.get_token()
            return Cloud(connection)

    def _connection_options(self) -> dict[str, Any]:
        cloud = self.params["cloud"]
        if not isinstance(cloud, Mapping):
            return {_SDK_NAMES.get(name, name): self.params[name] for name in AUTH_SPEC}
        for name in AUTH_SPEC:
            if name != "cloud" and self.params[name] != AUTH_SPEC[name].get("default"):
                self.fail(f"cloud is a whole configuration, so {name} cannot be given beside it: put it into cloud")
        return dict(cloud)


class Cloud:
    """One OpenStack cloud, asked as one identity."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.region: str = connection.config.get_region_name() or ""
        with _translated("find Neutron"):
            self._network = connection.network

    def ports(self, server_ids: Iterable[str] = (), port_ids: Iterable[str] = ()) -> list[Port]:
        """The visible ports of these servers and those with these ids, each once."""
        found = [*self._ports("device_id", server_ids), *self._ports("id", port_ids)]
        return list({port.id: port for port in found}.values())

    def ports_with(self, addresses: Iterable[str]) -> list[Port]:
        """The visible ports that have one of these fixed IPs, on any network."""
        return self._ports("fixed_ips", (f"ip_address={address}" for address in addresses))

    def port(self, port_id: str) -> Port:
        """One port; NotFound if there is none."""
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
        with _translated("ask Neutron for its extensions"), suppress(sdk.NotFoundException):
            return self._network.find_extension(alias, ignore_missing=False) is not None
        return False

    def set_pairs(self, port: Port, pairs: list[dict[str, Any]], guarded: bool = True) -> Port:
        """Writes a port's whole list of pairs; Conflict if the port has another revision by now (`guarded`)."""
        revision = {"if_revision": port.revision} if guarded else {}
        with _translated(f"change port {port}", lambda: self._owner(port.network_id)):
            return _port(self._network.update_port(port.id, allowed_address_pairs=pairs, **revision))

    def reserve(self, network_id: str, subnet_id: str, address: str, mac: str) -> Port:
        """Makes an unbound port that has the address and the MAC address, so that nobody else is given them."""
        with _translated(f"reserve {address}", lambda: self._owner(network_id)):
            made = self._network.create_port(
                network_id=network_id,
                name=f"egress-router-{address}",
                description="Holds the address of an egress router. Made by egress.router.",
                device_owner=RESERVATION_OWNER,
                fixed_ips=[{"subnet_id": subnet_id, "ip_address": address}],
                mac_address=mac,
            )
            return _port(made)

    def delete_port(self, port: Port) -> None:
        """Deletes a port; nothing happens if it is gone."""
        with _translated(f"delete port {port}"):
            self._network.delete_port(port.id, ignore_missing=True)

    def _ports(self, key: str, values: Iterable[str]) -> list[Port]:
        found: list[Port] = []
        for some in _batches(values):
            with _translated("list the ports"):
                found += [_port(item) for item in self._network.ports(**{key: some})]
        return found

    def _owner(self, network_id: str) -> str:
        """The project of a network, for the message about a right that only its owner has."""
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
        # Without the extension port-security there is no such field, and nothing that could be off.
        port_security=item.is_port_security_enabled is not False,
        fixed_ips=tuple((fixed["subnet_id"], fixed["ip_address"]) for fixed in item.fixed_ips or ()),
        pairs=tuple(dict(pair) for pair in item.allowed_address_pairs or ()),
        subports=tuple(sub["port_id"] for sub in (item.trunk_details or {}).get("sub_ports") or ()),
    )


def _secrets(auth: Any, cloud: Any) -> set[str]:
    """The texts of the options auth and cloud that are to be hidden in results and messages."""
    found: set[str] = set()
    if isinstance(cloud, Mapping):
        found |= {str(value) for key, value in cloud.items() if _SECRET.search(str(key))}
        found |= _secrets(cloud.get("auth"), None)
    if isinstance(auth, Mapping):
        found |= {str(value) for key, value in auth.items() if not _PUBLIC.match(str(key))}
    return found - {"", "None"}


@contextmanager
def _translated(what: str, owner: Callable[[], str] = str) -> Generator[None, None, None]:
    """Turns every exception of the libraries into one of ours. `owner`: who could do it, asked when a right lacks."""
    try:
        yield
    except sdk.ConfigException as error:
        raise EgressError(_config_error(error)) from error
    except sdk.HttpException as error:
        raise _http_error(error, what, owner) from error
    except keystone.MissingRequiredOptions as error:
        missing = ", ".join(option.name.replace("-", "_") for option in error.options)
        raise EgressError(
            f"there are no credentials for OpenStack ({missing} missing): name a cloud of clouds.yaml with cloud or OS_CLOUD, "
            "or give auth or the OS_ variables"
        ) from error
    except (keystone.Unauthorized, keystone.NotFound) as error:
        # Keystone answers 404 to a token that it does not know, and so does something that is not Keystone.
        if isinstance(error, keystone.NotFound) and "token" not in str(error):
            raise NotFound(f"cannot {what}: there is no Keystone at the auth_url: {_plain(error)}") from error
        raise Forbidden(
            f"OpenStack does not accept the credentials to {what}: {_plain(error)}: renew the token or password, and check "
            "user, project and their domains"
        ) from error
    except keystone.EndpointNotFound as error:
        raise EgressError(
            f"cannot {what}: the cloud's catalogue has no network endpoint for this region and interface: {_plain(error)}"
        ) from error
    except (keystone.ConnectFailure, keystone.DiscoveryFailure, keystone.SSLError, keystone.ConnectTimeout) as error:
        raise Unreachable(f"cannot reach OpenStack at {_url(error)} to {what}: {_reason(error)}") from error
    except (sdk.SDKException, keystone.ClientException) as error:
        raise ApiError(f"cannot {what}: {_plain(error)}") from error


def _config_error(error: Exception) -> str:
    match = re.search(r"Cloud (\S+) was not found", str(error))
    if match:
        return (
            f"there is no cloud '{match[1]}' in clouds.yaml: correct cloud or OS_CLOUD, or name the file with "
            "OS_CLIENT_CONFIG_FILE"
        )
    return f"the configuration of the cloud cannot be used: {_plain(error)}: check cloud, auth and clouds.yaml"


def _http_error(error: Any, what: str, owner: Callable[[], str]) -> EgressError:
    said = _said(error)
    status = error.status_code
    if status == 401:
        return Forbidden(f"Neutron does not accept the token to {what}: it is expired or wrong, renew the credentials")
    if status == 403:
        rules = ", ".join(dict.fromkeys(_RULE.findall(said))) or said
        whose = owner()
        return Forbidden(
            f"may not {what}: Neutron's policy ({rules}) refuses it{f'; {whose}' if whose else ''}: use the credentials of an "
            "admin, or of a project that owns both the port and its network, or have the policy changed"
        )
    if status == 404:
        return NotFound(f"cannot {what}: it does not exist (any more), or belongs to another project")
    if status == 412:
        return Conflict(f"cannot {what}: somebody else changed it at the same moment")
    if status == 409 and "port security must be enabled" in said.lower():
        return Conflict(f"cannot {what}: its port security was switched off just now")
    if status == 409:
        return Conflict(f"cannot {what}: {said}")
    if status == 400 and "exceed" in said.lower() and "maximum" in said.lower():
        return ApiError(
            f"cannot {what}: {said}: Neutron's max_allowed_address_pair limits the pairs of a port; remove pairs that are "
            "not needed or have the limit raised"
        )
    if status in (502, 503, 504):
        return Unreachable(f"cannot {what}: {_url(error)} answered {status}: {said}")
    return ApiError(f"cannot {what}: Neutron answered {status}: {said}")


def _said(error: Any) -> str:
    """Neutron's own sentence."""
    try:
        body = json.loads(error.response.text)
    except (AttributeError, TypeError, ValueError):
        return str(error.details or error.message or error)
    inner = next((value for value in body.values() if isinstance(value, Mapping)), body)
    return str(inner.get("message") or error.details or error).strip().rstrip(".")


def _plain(error: Exception) -> str:
    """An error's text on one line."""
    return " ".join(str(error).split()).rstrip(".")


def _url(error: Exception) -> str:
    match = _URL.search(f"{getattr(error, 'url', None) or ''} {error}")
    return match[0].rstrip(".:,") if match else "the given address"


def _reason(error: Exception) -> str:
    """Why a connection failed: the innermost reason of requests, or its class."""
    match = re.search(r"\[Errno -?\d+\] ([^'\")]+)", str(error)) or re.search(
        r"(timed out|certificate verify failed)", str(error)
    )
    return match[1] if match else _plain(error)
