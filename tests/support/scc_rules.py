# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A test double of OpenShift's admission by SecurityContextConstraints: a table of its rules, and not OpenShift's own code.

It has what decides about pods with one container: the order in which constraints are tried, what each requires and what it
sets. Whoever changes the constraints of the collection should also have OpenShift's own code say which ones it chooses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Constraints = dict[str, Any]

RUN_AS_ANY, NON_ROOT, RANGE, FIXED = "RunAsAny", "MustRunAsNonRoot", "MustRunAsRange", "MustRunAs"
_ALL_VOLUMES = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
]
# Types of volumes that make constraints no less strict.
_TRIVIAL = {"configMap", "downwardAPI", "emptyDir", "projected", "secret"}
# The range of user ids of the namespace, where constraints name none.
_UIDS = (1000650000, 1000659999)
# How much each freedom weighs, from the one that makes constraints least strict to the one that does least.
_PRIVILEGED, _HOST_PORTS, _HOST_NETWORK, _HOST_VOLUMES, _OTHER_VOLUMES = 1600000, 800000, 400000, 200000, 100000
_STRATEGIES = {RUN_AS_ANY: 40000, NON_ROOT: 30000, RANGE: 20000, FIXED: 10000}
_CAPABILITIES = {"base": 5000, "add": 300, "allow all": 4000, "allow": 10, "drop all": -3000, "drop": -50}


def _stock(name: str, user: str, **changes: Any) -> Constraints:
    """One of those that OpenShift brings; what is not said is as in restricted-v2."""
    return {
        "metadata": {"name": name},
        "priority": None,
        "allowPrivilegedContainer": False,
        "allowPrivilegeEscalation": False,
        "allowHostNetwork": False,
        "allowHostPorts": False,
        "readOnlyRootFilesystem": False,
        "allowedCapabilities": ["NET_BIND_SERVICE"],
        "requiredDropCapabilities": ["ALL"],
        "defaultAddCapabilities": [],
        "runAsUser": {"type": user},
        "seLinuxContext": {"type": FIXED},
        "seccompProfiles": ["runtime/default"],
        "volumes": _ALL_VOLUMES,
        "users_in_pods": False,
        **changes,
    }


# The first generation lets pods gain privileges and has them drop less.
_FIRST: dict[str, Any] = {
    "allowPrivilegeEscalation": True,
    "allowedCapabilities": [],
    "requiredDropCapabilities": ["KILL", "MKNOD", "SETUID", "SETGID"],
    "seccompProfiles": [],
}
_HOST = {"allowHostNetwork": True, "allowHostPorts": True}
STOCK: tuple[Constraints, ...] = (
    _stock("restricted-v3", RANGE, runAsUser={"type": RANGE, "uidRangeMin": 1000, "uidRangeMax": 65534}, users_in_pods=True),
    _stock("restricted-v2", RANGE),
    _stock("restricted", RANGE, **_FIRST),
    _stock("nonroot-v2", NON_ROOT),
    _stock("nonroot", NON_ROOT, **_FIRST),
    _stock("anyuid", RUN_AS_ANY, **{**_FIRST, "requiredDropCapabilities": ["MKNOD"]}, priority=10),
    _stock(
        "nested-container", RANGE, allowPrivilegeEscalation=True, allowedCapabilities=["SETUID", "SETGID"],
        requiredDropCapabilities=[], seccompProfiles=["*"], users_in_pods=True,
        runAsUser={"type": RANGE, "uidRangeMin": 0, "uidRangeMax": 65534},
    ),
    _stock("hostnetwork-v2", RANGE, **_HOST),
    _stock("hostnetwork", RANGE, **_FIRST, **_HOST),
    _stock("hostaccess", RANGE, **_FIRST, **_HOST, volumes=[*_ALL_VOLUMES, "hostPath"]),
    _stock("hostmount-anyuid", RUN_AS_ANY, **{**_FIRST, "requiredDropCapabilities": ["MKNOD"]},
           volumes=[*_ALL_VOLUMES, "hostPath", "nfs"]),
    _stock(
        "privileged", RUN_AS_ANY, **_HOST, allowPrivilegedContainer=True, allowPrivilegeEscalation=True,
        allowedCapabilities=["*"], requiredDropCapabilities=[], seLinuxContext={"type": RUN_AS_ANY},
        seccompProfiles=["*"], volumes=["*"],
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Admitted:
    """By which constraints a pod was admitted, and what they made of its container."""

    by: str
    user: int | None
    read_only: bool
    capabilities: frozenset[str] = field(default_factory=frozenset)


def admit(pod: dict[str, Any], usable: list[Constraints]) -> Admitted | None:
    """What becomes of a pod's specification whose account and creator together may use these; None: it is refused."""
    for constraints in sorted(usable, key=place):
        found = fits(pod, constraints)
        if found:
            return found
    return None


def place(constraints: Constraints) -> tuple[int, int, str]:
    """What is tried first: by priority, then by strictness, then by name."""
    return -(constraints.get("priority") or 0), freedom(constraints), constraints["metadata"]["name"]


def freedom(constraints: Constraints) -> int:
    """How little strict they are."""
    volumes = set(constraints["volumes"])
    points = _HOST_VOLUMES if {"*", "hostPath"} & volumes else _OTHER_VOLUMES if volumes - _TRIVIAL else 0
    points += _PRIVILEGED * constraints["allowPrivilegedContainer"]
    points += _HOST_NETWORK * constraints["allowHostNetwork"] + _HOST_PORTS * constraints["allowHostPorts"]
    points += sum(_STRATEGIES[constraints[key]["type"]] for key in ("runAsUser", "seLinuxContext"))
    allowed, dropped = constraints["allowedCapabilities"], constraints["requiredDropCapabilities"]
    weight = _CAPABILITIES["base"] + _CAPABILITIES["add"] * len(constraints["defaultAddCapabilities"])
    weight += _CAPABILITIES["allow all"] if "*" in allowed else _CAPABILITIES["allow"] * len(allowed)
    weight += _CAPABILITIES["drop all"] if "ALL" in dropped else _CAPABILITIES["drop"] * len(dropped)
    return int(points + min(max(weight, 0), 9999))


def fits(pod: dict[str, Any], constraints: Constraints) -> Admitted | None:
    """The pod as these constraints complete it; None if it cannot be made to fit them."""
    (container,) = pod["containers"]
    context = container.get("securityContext") or {}
    of_pod = pod.get("securityContext") or {}
    volumes = {next(key for key in volume if key != "name") for volume in pod.get("volumes") or ()}
    escalation = context.get("allowPrivilegeEscalation", constraints.get("defaultAllowPrivilegeEscalation", False))
    refused = (
        (context.get("privileged", False) and not constraints["allowPrivilegedContainer"])
        or (pod.get("hostNetwork", False) and not constraints["allowHostNetwork"])
        or (escalation and not constraints["allowPrivilegeEscalation"])
        or (context.get("readOnlyRootFilesystem") is False and constraints["readOnlyRootFilesystem"])
        or ("*" not in constraints["volumes"] and volumes - set(constraints["volumes"]))
        or (constraints.get("users_in_pods", False) and pod.get("hostUsers") is not False)
        or not _seccomp_fits(
            context.get("seccompProfile") or of_pod.get("seccompProfile"), constraints["seccompProfiles"]
        )
    )
    user = _user(context.get("runAsUser", of_pod.get("runAsUser")), constraints["runAsUser"])
    capabilities = _capabilities(context.get("capabilities") or {}, constraints)
    if refused or user is False or capabilities is None:
        return None
    read_only = context.get("readOnlyRootFilesystem", constraints["readOnlyRootFilesystem"])
    name = constraints["metadata"]["name"]
    return Admitted(name, None if user is None else int(user), bool(read_only), frozenset(capabilities))


def _user(asked: int | None, strategy: dict[str, Any]) -> int | bool | None:
    """The user id that the container gets, None if its image decides; False if it may not have what it asks for."""
    kind = strategy["type"]
    if kind == RUN_AS_ANY:
        return asked
    if kind == NON_ROOT:
        return False if asked == 0 else asked
    low, high = (strategy["uid"],) * 2 if kind == FIXED else (
        strategy.get("uidRangeMin", _UIDS[0]), strategy.get("uidRangeMax", _UIDS[1])
    )  # fmt: skip
    if asked is None:
        return int(low)
    return asked if low <= asked <= high else False


def _capabilities(asked: dict[str, Any], constraints: Constraints) -> set[str] | None:
    """Those that are added; None if one may not be, or one that has to be dropped is asked for."""
    added, allowed = set(asked.get("add") or ()), set(constraints["allowedCapabilities"])
    allowed |= set(constraints["defaultAddCapabilities"])
    if "*" not in allowed and added - allowed:
        return None
    if added & set(constraints["requiredDropCapabilities"]):
        return None
    return added | set(constraints["defaultAddCapabilities"])


def _seccomp_fits(asked: dict[str, Any] | None, allowed: list[str]) -> bool:
    """A profile that nobody asked for is set to the first that is allowed."""
    if asked is None or "*" in allowed:
        return True
    return asked["type"] == "RuntimeDefault" and "runtime/default" in allowed
