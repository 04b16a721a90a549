"""What the other tests rely on, proved on the running lab. `pytest tests/lab/test_lab.py` brings the lab up when it is not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from egress_lab import baseimage, cluster, engine, images, segment, settings  # noqa: E402

NAMESPACE = "egress-lab-test"
IMAGE = "localhost/egress-lab-tools:1"
PORT = 7007
MAC = "02:00:5e:00:53:50"

DEFINITIONS = {
    "macvlan": {
        "plugins": [
            {
                "type": "macvlan",
                "master": "eth1",
                "mode": "bridge",
                "capabilities": {"mac": True, "ips": True},
                "ipam": {"type": "static"},
            },
            {"type": "tuning"},
        ]
    },
    "noipam": {"type": "macvlan", "master": "eth1", "mode": "bridge"},
    "nomaster": {"type": "macvlan", "master": "eth7", "mode": "bridge"},
}

EGRESS_ROUTER = {
    "apiVersion": "network.operator.openshift.io/v1",
    "kind": "EgressRouter",
    "metadata": {"name": "billing-db", "namespace": NAMESPACE},
    "spec": {
        "mode": "Redirect",
        "networkInterface": {"macvlan": {"mode": "Bridge"}},
        "addresses": [{"ip": "198.51.100.60/24", "gateway": "198.51.100.1"}],
        "redirect": {"redirectRules": [{"port": 5432, "protocol": "TCP", "destinationIP": "203.0.113.10"}]},
    },
}

# Tells every client who it is, on both families; runs in the outside server's network namespace.
ECHO = f"""
import socket
server = socket.create_server(("::", {PORT}), family=socket.AF_INET6, dualstack_ipv6=True)
print("listening", flush=True)
while True:
    client, address = server.accept()
    client.sendall(address[0].removeprefix("::ffff:").encode())
    client.close()
"""


@pytest.fixture(scope="session")
def lab() -> engine.Engine:
    subprocess.run([str(HERE / "lab"), "up"], check=True)
    chosen = engine.choose()
    if not chosen.exists("image", IMAGE):
        baseimage.ensure(chosen)
        chosen.run(
            "build",
            "-q",
            *baseimage.build_arguments(chosen),
            "-f",
            str(HERE / "tools.Containerfile"),
            "-t",
            IMAGE,
            str(HERE / "cni"),
        )
    images.load(chosen, IMAGE)
    return chosen


@pytest.fixture(scope="session")
def outside(lab: engine.Engine) -> Iterator[int]:
    """The process id of the outside server, where a server answers with the client's address."""
    pid = lab.running()[settings.OUTSIDE]
    server = subprocess.Popen(
        ["nsenter", "-t", str(pid), "-n", sys.executable, "-c", ECHO], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None and server.stdout.readline() == "listening\n"
    yield pid
    server.kill()
    server.wait()


@pytest.fixture(scope="module", autouse=True)
def namespace(lab: engine.Engine) -> Iterator[None]:
    cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
    cluster.kubectl("create", "namespace", NAMESPACE)
    for name, config in DEFINITIONS.items():
        define(name, config)
    yield
    cluster.kubectl("delete", "namespace", NAMESPACE, "--timeout=60s")


def define(name: str, config: dict) -> None:
    apply(
        {
            "apiVersion": "k8s.cni.cncf.io/v1",
            "kind": "NetworkAttachmentDefinition",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"config": json.dumps({"cniVersion": "1.0.0", **config})},
        }
    )


def apply(*objects: dict) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))


def start(name: str, networks: str = "", node: str = settings.WORKERS[0]) -> None:
    apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": NAMESPACE,
                "annotations": {"k8s.v1.cni.cncf.io/networks": networks} if networks else {},
            },
            "spec": {
                "nodeName": node,
                "terminationGracePeriodSeconds": 0,
                "containers": [
                    {
                        "name": "tools",
                        "image": IMAGE,
                        "imagePullPolicy": "Never",
                        "command": ["sleep", "infinity"],
                        "securityContext": {
                            "readOnlyRootFilesystem": True,
                            "allowPrivilegeEscalation": False,
                            "seccompProfile": {"type": "RuntimeDefault"},
                            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]},
                        },
                    }
                ],
            },
        }
    )


def ready(name: str, networks: str = "", node: str = settings.WORKERS[0]) -> None:
    start(name, networks, node)
    cluster.kubectl("-n", NAMESPACE, "wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")


def inside(name: str, *command: str, **options) -> str:
    return cluster.kubectl("-n", NAMESPACE, "exec", name, "--", *command, **options).stdout.strip()


def who_am_i(name: str, address: str) -> str:
    """The source address that a server at this address sees."""
    return inside(name, "timeout", "10", "bash", "-c", f"exec 3<>/dev/tcp/{address}/{PORT}; cat <&3")


def wait_for(what: str, condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.2)


def wait_for_event(pod: str, *parts: str) -> None:
    """Until one event of the pod has all the parts in its message."""
    messages: list[str] = []

    def seen() -> bool:
        events = cluster.kubectl(
            "-n", NAMESPACE, "get", "events", "-o", "json", "--field-selector", f"involvedObject.name={pod}"
        ).stdout
        messages[:] = [event["message"] for event in json.loads(events)["items"]]
        return any(all(part in message for part in parts) for message in messages)

    try:
        wait_for(f"an event of pod {pod} with {parts}", seen)
    except AssertionError as error:
        raise AssertionError(f"{error}; its events: {messages}") from None


@pytest.mark.parametrize("worker", settings.WORKERS)
def test_pod_without_router_is_seen_as_its_node(outside: int, worker: str) -> None:
    name = f"plain-{worker}"
    ready(name, node=worker)
    for server, address in zip(("203.0.113.10", "2001:db8:113::10"), settings.WORKER_ADDRESSES[worker], strict=True):
        assert who_am_i(name, server) == address.split("/")[0]


def test_pods_of_other_nodes_are_reached_in_both_families(lab: engine.Engine) -> None:
    ready("both")
    status = json.loads(cluster.kubectl("-n", NAMESPACE, "get", "pod", "both", "-o", "json").stdout)["status"]
    addresses = [entry["ip"] for entry in status["podIPs"]]
    assert [":" in address for address in addresses] == [False, True]
    for node in settings.NODES:
        for address in addresses:
            lab.run("exec", node, "ping", "-c", "1", "-W", "2", address)


@pytest.mark.parametrize("worker", settings.WORKERS)
def test_attached_interface_has_the_mac_and_addresses_asked_for(outside: int, worker: str) -> None:
    name = f"attached-{worker}"
    ready(
        name, json.dumps([{"name": "macvlan", "mac": MAC, "ips": ["198.51.100.50/24", "2001:db8:51::50/64"]}]), worker
    )
    assert who_am_i(name, "198.51.100.1") == "198.51.100.50"
    # Duplicate address detection takes the kernel a second or two; until then the address is no source.
    wait_for(
        "net1's IPv6 addresses", lambda: inside(name, "ip", "-6", "addr", "show", "dev", "net1", "tentative") == ""
    )
    assert who_am_i(name, "2001:db8:51::1") == "2001:db8:51::50"
    neighbours = subprocess.run(
        ["nsenter", "-t", str(outside), "-n", "ip", "neigh"], check=True, capture_output=True, text=True
    ).stdout
    assert f"198.51.100.50 dev eth1 lladdr {MAC}" in neighbours

    status = json.loads(cluster.kubectl("-n", NAMESPACE, "get", "pod", name, "-o", "json").stdout)["metadata"][
        "annotations"
    ]["k8s.v1.cni.cncf.io/network-status"]
    primary, net1 = json.loads(status)
    assert primary["default"] is True and primary["interface"] == "eth0"
    assert net1["name"] == f"{NAMESPACE}/macvlan" and net1["interface"] == "net1"
    assert net1["mac"] == MAC and net1["ips"] == ["198.51.100.50", "2001:db8:51::50"]
    cluster.kubectl("-n", NAMESPACE, "delete", "pod", name, "--timeout=60s")


def test_default_route_over_the_attached_interface(outside: int) -> None:
    ready("routed", json.dumps([{"name": "macvlan", "ips": ["198.51.100.51/24"], "default-route": ["198.51.100.1"]}]))
    assert who_am_i("routed", "203.0.113.10") == "198.51.100.51"


def test_short_form_names_the_interface_and_needs_no_ipam(lab: engine.Engine) -> None:
    ready("short", f"noipam@egress0,{NAMESPACE}/noipam")
    links = inside("short", "ip", "-o", "link")
    assert "egress0@" in links and "net2@" in links
    assert inside("short", "ip", "-4", "addr", "show", "dev", "egress0") == ""


def test_capabilities_suffice_for_addresses_packet_filter_and_connection_tracking(lab: engine.Engine) -> None:
    ready("bare", "noipam")
    inside("bare", "ip", "link", "set", "net1", "address", MAC)
    inside("bare", "ip", "addr", "add", "198.51.100.52/24", "dev", "net1")
    inside("bare", "ip", "rule", "add", "iif", "eth0", "lookup", "100")
    inside(
        "bare",
        "nft",
        "add table ip t; add chain ip t n { type nat hook prerouting priority dstnat; }; "
        "add map ip t m { type inet_proto . inet_service : ipv4_addr . inet_service; }; "
        "add rule ip t n dnat ip to ip protocol . th dport map @m",
    )
    assert "dnat ip to" in inside("bare", "nft", "list", "ruleset")
    inside("bare", "conntrack", "-L")
    assert inside("bare", "cat", "/proc/sys/net/ipv4/ip_forward") == "1"


@pytest.mark.parametrize(
    ("networks", "parts"),
    [
        ("nomaster", ("network egress-lab-test/nomaster, interface net1", "Link not found")),
        ("absent", ("egress-lab-test/absent", "not found")),
        ("noipam@eth0", ("used twice",)),
        ('[{"nmae":"macvlan"}]', ("nmae",)),
    ],
)
def test_a_failed_attachment_tells_its_cause_in_the_pods_events(
    lab: engine.Engine, request: pytest.FixtureRequest, networks: str, parts: tuple[str, ...]
) -> None:
    name = f"bad-{request.node.callspec.indices['networks']}"
    start(name, networks)
    wait_for_event(name, *parts)
    cluster.kubectl("-n", NAMESPACE, "delete", "pod", name, "--timeout=60s")


def test_a_pod_ends_although_its_definition_is_gone(lab: engine.Engine) -> None:
    define("fleeting", DEFINITIONS["noipam"])
    ready("orphan", "fleeting")
    cluster.kubectl("-n", NAMESPACE, "delete", "net-attach-def", "fleeting")
    cluster.kubectl("-n", NAMESPACE, "delete", "pod", "orphan", "--timeout=60s")
    # The kubelet takes the sandbox down a moment after the pod's object has gone.
    wait_for(
        "the network's removal",
        lambda: (
            "fleeting" not in lab.output("exec", settings.WORKERS[0], "sh", "-c", "cat /var/lib/cni/netattach/*.json")
        ),
    )


def test_names_of_the_cluster_resolve_and_others_do_not(lab: engine.Engine) -> None:
    ready("names")
    assert "10.96.0.1" in inside("names", "getent", "hosts", "kubernetes.default.svc.cluster.local")
    begin = time.monotonic()
    assert inside("names", "getent", "hosts", "host.example", check=False) == ""
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("node", settings.NODES)
def test_nodes_have_no_way_out(lab: engine.Engine, node: str) -> None:
    for family in ("-4", "-6"):
        routes = lab.output("exec", node, "ip", family, "route", "show", "default").splitlines()
        assert routes and all(route.startswith("unreachable default") for route in routes)


def test_cutting_a_worker_off_the_segment(outside: int) -> None:
    ready("cut")
    port = segment.port(settings.WORKERS[0])
    link = ["ip", "-n", settings.SEGMENT, "link", "set", port]
    try:
        subprocess.run([*link, "down"], check=True)
        assert (
            inside("cut", "timeout", "2", "bash", "-c", f"exec 3<>/dev/tcp/203.0.113.10/{PORT}; cat <&3", check=False)
            == ""
        )
    finally:
        subprocess.run([*link, "up"], check=True)
    wait_for(
        "the worker's way back",
        lambda: (
            inside("cut", "timeout", "2", "bash", "-c", f"exec 3<>/dev/tcp/203.0.113.10/{PORT}; cat <&3", check=False)
            == "198.51.100.11"
        ),
    )


def test_openshift_comes_and_goes(lab: engine.Engine) -> None:
    def openshift(action: str) -> None:
        subprocess.run([str(HERE / "lab"), "openshift", action], check=True)

    def defaults(node: str) -> list[str]:
        return lab.output("exec", node, "ip", "-4", "route", "show", "default").splitlines()

    def has_plugin(node: str) -> bool:
        return not lab.run("exec", node, "test", "-x", "/opt/cni/bin/egress-router", check=False).returncode

    before = {node: defaults(node) for node in settings.NODES}
    openshift("up")
    try:
        cluster.kubectl("get", "egressrouters", "--all-namespaces")
        for node in settings.WORKERS:
            assert defaults(node)[0].startswith("default via 198.51.100.1 dev eth1") and has_plugin(node)
        assert defaults(settings.CONTROL_PLANE) == before[settings.CONTROL_PLANE]
        ready("as-on-openshift")
        routes = inside("as-on-openshift", "ip", "route").splitlines()
        assert all(any(line.startswith(f"{net} via ") for line in routes) for net in ("10.244.0.0/16", "10.96.0.0/16"))
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(EGRESS_ROUTER))
        wait_for(
            "the operator's Deployment",
            lambda: "egress-router-cni" in cluster.kubectl("-n", NAMESPACE, "get", "deployments", "-o", "name").stdout,
        )
        openshift("stop")
        cluster.kubectl("-n", NAMESPACE, "delete", "deployments", "--all")
    finally:
        openshift("down")
    assert {node: defaults(node) for node in settings.NODES} == before
    assert not any(has_plugin(node) for node in settings.NODES)
    assert "openshift" not in cluster.kubectl("get", "crd", "-o", "name").stdout
    left = cluster.kubectl("-n", NAMESPACE, "get", "net-attach-def,deployments,pods", "-o", "name").stdout
    assert "egress-router-cni" not in left
    ready("plain-again")
    assert "10.96.0.0/16" not in inside("plain-again", "ip", "route")


def test_a_second_up_makes_nothing(lab: engine.Engine) -> None:
    done = subprocess.run([str(HERE / "lab"), "up"], check=True, capture_output=True, text=True)
    # Every step that makes something has a line.
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_the_routers_image_lists_its_packages(lab: engine.Engine) -> None:
    run = ("run", "--rm", "--network", "none", settings.ROUTER_IMAGE)
    listed = json.loads(lab.output(*run, "egress-router", "sbom"))["components"]
    installed = lab.output(*run, "dpkg-query", "--show", "--showformat", "${Package} ${Version}\n").splitlines()
    assert [f"{one['name']} {one['version']}" for one in listed] == installed
    base = lab.label("image", settings.ROUTER_IMAGE, "org.opencontainers.image.base.name")
    assert base == baseimage.of_router(lab)


def test_up_after_the_outside_server_died_unnoticed(lab: engine.Engine) -> None:
    """As after a power cut: Podman's monitor of the container died as well, so Podman takes it for running."""
    before = lab.running()[settings.OUTSIDE]
    monitor = lab.output("inspect", "--format", "{{.State.ConmonPid}}", settings.OUTSIDE, check=False)
    if monitor:
        os.kill(int(monitor), signal.SIGKILL)
    os.kill(before, signal.SIGKILL)
    wait_for("the server's end", lambda: settings.OUTSIDE not in lab.running())
    subprocess.run([str(HERE / "lab"), "up"], check=True, capture_output=True)
    after = lab.running()[settings.OUTSIDE]
    assert after != before
    assert segment.MACS[settings.OUTSIDE] in lab.output("exec", settings.OUTSIDE, "cat", "/sys/class/net/eth1/address")
