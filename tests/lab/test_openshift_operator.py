"""The operator of EgressRouter resources on a real API server. Needs no cluster: no pod is ever started.

With EGRESS_LAB_CNO the real operator has to pass as well: it takes minutes where the stand-in is told to take seconds.
"""

from __future__ import annotations

import itertools
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import config, dynamic
from kubernetes.dynamic.exceptions import NotFoundError

from ansible_collections.egress.router.tests.support.waiting import always, until

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]

from egress_lab import openshift, settings  # noqa: E402
from egress_support import api_server, process  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
# A run that is ended ends its servers too, as Ctrl-C does.
signal.signal(signal.SIGTERM, signal.default_int_handler)

REAL = bool(settings.OPENSHIFT_OPERATOR)
MANAGER = "cluster-network-operator/egress_router"
NAD, DEPLOYMENT = "egress-router-cni-nad", "egress-router-cni-deployment"
ADDRESS = {"ip": "198.51.100.60/24", "gateway": "198.51.100.1"}
RULES = [
    {"port": 5432, "protocol": "TCP", "destinationIP": "203.0.113.10"},
    {"port": 8080, "protocol": "TCP", "destinationIP": "203.0.113.11", "targetPort": 80},
    {"port": 53, "protocol": "UDP", "destinationIP": "203.0.113.12"},
]
# Long enough for a machine that is busy with other things; the operator takes tenths of a second.
SOON = 60.0
_names = itertools.count(1)


class Namespace:
    """A namespace of one test, with the operator's objects."""

    def __init__(self, cluster: dynamic.DynamicClient) -> None:
        self.cluster = cluster
        self.name = f"operator-{next(_names)}"
        self.api("v1", "Namespace").create(body={"metadata": {"name": self.name}})
        self.routers = self.api("network.operator.openshift.io/v1", "EgressRouter")
        self.attachments = self.api("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition")
        self.deployments = self.api("apps/v1", "Deployment")

    def api(self, api_version: str, kind: str) -> Any:
        return self.cluster.resources.get(api_version=api_version, kind=kind)

    def apply(self, name: str = "billing-db", **spec: Any) -> dict[str, Any]:
        """A resource as users apply it."""
        body = {
            "apiVersion": "network.operator.openshift.io/v1",
            "kind": "EgressRouter",
            "metadata": {"name": name, "namespace": self.name},
            "spec": {
                "mode": "Redirect",
                "networkInterface": {"macvlan": {"mode": "Private", "master": "no-such"}},
                "addresses": [ADDRESS],
                "redirect": {"redirectRules": RULES},
                **spec,
            },
        }
        return dict(
            self.cluster.server_side_apply(
                self.routers, body=body, field_manager="tests", force_conflicts=True
            ).to_dict()
        )

    def annotate(self, name: str = "billing-db") -> None:
        body = {"metadata": {"annotations": {"example.com/awake": str(next(_names))}}}
        self.routers.patch(name=name, namespace=self.name, body=body, content_type="application/merge-patch+json")

    def find(self, resource: Any, name: str) -> dict[str, Any]:
        try:
            return dict(resource.get(name=name, namespace=self.name).to_dict())
        except NotFoundError:
            return {}

    def nad(self) -> dict[str, Any]:
        return self.find(self.attachments, NAD)

    def config(self) -> dict[str, Any]:
        return dict(json.loads(self.nad().get("spec", {}).get("config", "{}")))

    def address(self) -> str:
        return ",".join(self.config().get("ip", {}).get("addresses", []))

    def deployment(self) -> dict[str, Any]:
        return self.find(self.deployments, DEPLOYMENT)

    def both(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The two objects, once they are there."""
        return until(lambda: all(found := (self.nad(), self.deployment())) and found, f"objects in {self.name}", SOON)

    def owner(self) -> str:
        """Whose both objects are; empty as long as they are not one's."""
        names = {one["name"] for found in (self.nad(), self.deployment()) for one in owners(found)}
        return names.pop() if len(names) == 1 else ""

    def degraded(self) -> dict[str, Any]:
        """The condition of the ClusterOperator."""
        found = self.find(self.api("config.openshift.io/v1", "ClusterOperator"), "network")
        conditions = found.get("status", {}).get("conditions", [])
        return next((one for one in conditions if one["type"] == "Degraded"), {})


def owners(found: dict[str, Any]) -> list[dict[str, Any]]:
    return list(found.get("metadata", {}).get("ownerReferences", []))


def established(definition: dict[str, Any]) -> bool:
    conditions = definition.get("status", {}).get("conditions") or []
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("api")
    try:
        api_server.start(folder, "garbage-collector-controller")
        yield folder
    finally:
        process.stop_all(folder)


@pytest.fixture(scope="module")
def cluster(state: Path) -> dynamic.DynamicClient:
    """The API server with the definitions of the resource, of attachments, and of ClusterOperators."""
    made = dynamic.DynamicClient(config.new_client_from_config(str(state / "kubeconfig")))
    resource = made.resources.get(api_version="apiextensions.k8s.io/v1", kind="CustomResourceDefinition")
    files = [HERE / "manifests" / "network-attachment.yaml", *openshift.definitions()]
    documents = [document for file in files for document in yaml.safe_load_all(file.read_text())]
    items = [item for document in documents for item in document.get("items", [document])]
    for item in (item for item in items if item["kind"] == "CustomResourceDefinition"):
        resource.create(body=item)
        name = item["metadata"]["name"]
        until(lambda name=name: established(resource.get(name=name).to_dict()), f"{name} is served", SOON)
    return made


class Operator:
    """The operator that runs. Starting it takes seconds, so the stand-in without arguments runs on from test to test."""

    def __init__(self, folder: Path, kubeconfig: Path) -> None:
        self.folder, self.kubeconfig = folder, kubeconfig
        # The arguments of the one that runs.
        self.reusable: dict[str, float] | None = None
        self.asked = False

    def __call__(self, **arguments: float) -> None:
        """Starts it, or another one in its place if it is not the first time in a test."""
        if self.asked or REAL or arguments or self.reusable != arguments:
            words = [f"--{key.replace('_', '-')}={value}" for key, value in arguments.items()]
            openshift.start_operator(self.folder, self.kubeconfig, *words)
        self.reusable, self.asked = arguments, True

    def stop(self) -> None:
        process.stop_all(self.folder)
        self.reusable = None


@pytest.fixture(scope="module")
def one_operator(
    state: Path, cluster: dynamic.DynamicClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    made = Operator(tmp_path_factory.mktemp("operator"), state / "kubeconfig")
    yield made
    made.stop()


@pytest.fixture
def operator(one_operator: Operator) -> Iterator[Operator]:
    one_operator.asked = False
    yield one_operator
    print((one_operator.folder / "operator.log").read_text())


@pytest.fixture
def namespace(cluster: dynamic.DynamicClient) -> Iterator[Namespace]:
    made = Namespace(cluster)
    yield made
    # What is left would be the next operator's work.
    made.routers.delete(namespace=made.name, field_selector=f"metadata.namespace={made.name}")


def test_a_resource_becomes_two_objects(operator: Operator, namespace: Namespace) -> None:
    operator()
    router = namespace.apply(
        addresses=[ADDRESS, {"ip": "198.51.100.61/24"}],
        redirect={"redirectRules": RULES, "fallbackIP": "203.0.113.99"},
    )
    nad, deployment = namespace.both()
    assert nad["spec"] == {
        "config": '{"cniVersion":"0.4.0","type":"egress-router","name":"egress-router-cni-nad","ip":{"addresses":'
        '["198.51.100.60/24"],"destinations":["5432 TCP 203.0.113.10","8080 TCP 203.0.113.11 80","53 UDP 203.0.113.12"],'
        '"fallbackIP":"203.0.113.99","gateway":"198.51.100.1"},"log_file":"/tmp/egress-router-log","log_level":"debug"}'
    }
    for found in nad, deployment:
        meta = found["metadata"]
        assert meta["ownerReferences"] == [
            {
                "apiVersion": "network.operator.openshift.io/v1",
                "kind": "EgressRouter",
                "name": "billing-db",
                "uid": router["metadata"]["uid"],
                "controller": True,
            }
        ]
        assert [(one["manager"], one["operation"]) for one in meta["managedFields"]] == [(MANAGER, "Apply")]
        assert set(meta["annotations"]) - {"deployment.kubernetes.io/revision"} == {"release.openshift.io/version"}
    assert namespace.find(namespace.routers, "billing-db").get("status", {}) == {}


def test_the_deployment(operator: Operator, namespace: Namespace) -> None:
    operator()
    namespace.apply()
    _nad, deployment = namespace.both()
    spec, template = deployment["spec"], deployment["spec"]["template"]
    labels = {"app": "egress-router-cni"}
    assert (spec["replicas"], spec["selector"], template["metadata"]["labels"]) == (1, {"matchLabels": labels}, labels)
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
    }
    annotations = template["metadata"]["annotations"]
    assert json.loads(annotations.pop("k8s.v1.cni.cncf.io/networks")) == [
        {"name": NAD, "default-route": ["198.51.100.1"]}
    ]
    assert annotations == {"target.workload.openshift.io/management": '{"effect": "PreferredDuringScheduling"}'}
    (container,) = template["spec"]["containers"]
    assert (container["name"], container["image"]) == ("egress-router-cni-pod", settings.ROUTER_IMAGE)
    assert container["command"] == ["/bin/sh", "-c", "sleep infinity"]
    assert container["resources"] == {"requests": {"cpu": "100m"}}
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert "securityContext" not in container and "initContainers" not in template["spec"]
    assert template["spec"]["securityContext"] == {} and template["spec"]["terminationGracePeriodSeconds"] == 30


def test_an_empty_redirect_and_addresses_that_no_plugin_takes_are_passed_on(
    operator: Operator, namespace: Namespace
) -> None:
    operator()
    namespace.apply(addresses=[{"ip": "2001:db8:51::60/128", "gateway": "203.0.113.1"}], redirect={})
    namespace.both()
    assert namespace.config()["ip"] == {
        "addresses": ["2001:db8:51::60/128"],
        "destinations": [],
        "gateway": "203.0.113.1",
    }


def test_rules_reach_the_attachment_alone(operator: Operator, namespace: Namespace) -> None:
    operator()
    namespace.apply()
    _nad, before = namespace.both()
    namespace.apply(redirect={"redirectRules": RULES[:1]})
    until(lambda: namespace.config()["ip"]["destinations"] == ["5432 TCP 203.0.113.10"], "new rules", SOON)
    # The same as a whole: nothing restarts the pod.
    assert namespace.deployment() == before


def test_an_address_reaches_the_attachment_alone(operator: Operator, namespace: Namespace) -> None:
    operator()
    namespace.apply()
    _nad, before = namespace.both()
    namespace.apply(addresses=[{**ADDRESS, "ip": "198.51.100.61/24"}])
    until(lambda: namespace.config()["ip"]["addresses"] == ["198.51.100.61/24"], "new address", SOON)
    assert namespace.deployment() == before


def test_a_gateway_starts_a_rolling_update(operator: Operator, namespace: Namespace) -> None:
    operator()
    namespace.apply()
    namespace.both()
    namespace.apply(addresses=[{**ADDRESS, "gateway": "198.51.100.2"}])
    until(lambda: namespace.deployment()["metadata"]["generation"] == 2, "new template", SOON)
    assert '"198.51.100.2"' in str(namespace.deployment()["spec"]["template"]["metadata"]["annotations"])
    assert namespace.deployment()["spec"]["strategy"]["type"] == "RollingUpdate"


@pytest.mark.parametrize(
    "addresses",
    [[], [{"ip": "198.51.100.60/24"}], [{**ADDRESS, "ip": "198.51.100.60"}], [{**ADDRESS, "ip": "word"}]],
    ids=["none", "no gateway", "no mask", "a word"],
)
def test_what_is_refused_is_told_by_the_cluster_operator_alone(
    operator: Operator, namespace: Namespace, addresses: list[dict[str, str]]
) -> None:
    lasts = 120.0 if REAL else 2.0
    operator(**({} if REAL else {"degraded_after": lasts}))
    namespace.apply(addresses=addresses)
    told = until(lambda: namespace.degraded().get("status") == "True" and namespace.degraded(), "it says", lasts + SOON)
    assert told["reason"] == "EgressRouterError"
    assert f"could not reconcile Egress Router {namespace.name}/billing-db: " in told["message"]
    assert (namespace.nad(), namespace.deployment()) == ({}, {})
    assert namespace.find(namespace.routers, "billing-db").get("status", {}) == {}
    assert namespace.api("v1", "Event").get(namespace=namespace.name).items == []

    namespace.routers.delete(name="billing-db", namespace=namespace.name)
    always(lambda: namespace.degraded() == told, "it forgot a resource that was deleted", 2)
    operator(**({} if REAL else {"degraded_after": lasts}))
    until(lambda: namespace.degraded().get("status") == "False", "it forgot at its restart", SOON)


def test_an_error_does_not_count_before_it_has_lasted(operator: Operator, namespace: Namespace) -> None:
    operator()
    namespace.apply(addresses=[])
    always(lambda: namespace.degraded().get("status") != "True", "Degraded at once", 3)


def test_a_resource_that_was_mended_is_served_and_forgiven(operator: Operator, namespace: Namespace) -> None:
    lasts = 120.0 if REAL else 2.0
    operator(**({} if REAL else {"degraded_after": lasts}))
    namespace.apply(addresses=[])
    until(lambda: namespace.degraded().get("status") == "True", "it says", lasts + SOON)
    namespace.apply()
    namespace.both()
    until(lambda: namespace.degraded().get("status") == "False", "it forgave", lasts + SOON)


def test_a_refused_change_leaves_the_objects_as_they_were(operator: Operator, namespace: Namespace) -> None:
    lasts = 120.0 if REAL else 2.0
    operator(**({} if REAL else {"degraded_after": lasts}))
    namespace.apply()
    before = namespace.both()
    namespace.apply(addresses=[{"ip": "198.51.100.61/24"}])
    until(lambda: namespace.degraded().get("status") == "True", "it says", lasts + SOON)
    assert namespace.both() == before


def test_two_resources_of_a_namespace_take_the_objects_from_each_other(
    operator: Operator, namespace: Namespace
) -> None:
    resync = 300.0 if REAL else 4.0
    operator(**({} if REAL else {"resync": resync}))
    namespace.apply("first")
    until(lambda: namespace.owner() == "first", "the first owns", SOON)
    namespace.apply("second", addresses=[{**ADDRESS, "ip": "198.51.100.61/24"}])
    until(lambda: namespace.owner() == "second", "the second owns", SOON)
    uid = namespace.deployment()["metadata"]["uid"]
    # Each time with the address of whose they are.
    until(lambda: (namespace.owner(), namespace.address()) == ("first", "198.51.100.60/24"), "back", resync + SOON)
    until(lambda: (namespace.owner(), namespace.address()) == ("second", "198.51.100.61/24"), "again", resync + SOON)
    assert namespace.deployment()["metadata"]["uid"] == uid


def test_who_owns_at_the_moment_takes_the_objects_along(operator: Operator, namespace: Namespace) -> None:
    operator()
    namespace.apply("first")
    until(lambda: namespace.owner() == "first", "the first owns", SOON)
    namespace.apply("second")
    until(lambda: namespace.owner() == "second", "the second owns", SOON)
    namespace.routers.delete(name="second", namespace=namespace.name)
    until(lambda: (namespace.nad(), namespace.deployment()) == ({}, {}), "both are gone", SOON)
    # The resync of the first is far away.
    always(lambda: (namespace.nad(), namespace.deployment()) == ({}, {}), "they are back without a cause", 1)
    namespace.annotate("first")
    until(lambda: namespace.owner() == "first", "the first owns again", SOON)


def test_objects_deleted_by_hand_are_back_at_the_next_resync(operator: Operator, namespace: Namespace) -> None:
    resync = 300.0 if REAL else 8.0
    operator(**({} if REAL else {"resync": resync}))
    namespace.apply()
    before = {found["metadata"]["uid"] for found in namespace.both()}
    namespace.attachments.delete(name=NAD, namespace=namespace.name)
    namespace.deployments.delete(name=DEPLOYMENT, namespace=namespace.name)
    until(
        lambda: not before & {found["metadata"]["uid"] for found in namespace.both()},
        "both are others",
        resync + SOON,
    )


def test_an_annotation_brings_objects_back(operator: Operator, namespace: Namespace) -> None:
    operator()
    namespace.apply()
    namespace.both()
    namespace.attachments.delete(name=NAD, namespace=namespace.name)
    # Its resync is far away.
    always(lambda: namespace.nad() == {}, "it is back without a cause", 2)
    namespace.annotate()
    until(namespace.nad, "the attachment is back", SOON)


def test_a_resync_writes_nothing_and_leaves_what_others_added(operator: Operator, namespace: Namespace) -> None:
    operator()
    namespace.apply()
    namespace.both()
    where = {"name": DEPLOYMENT, "namespace": namespace.name}
    namespace.deployments.patch(
        **where,
        body={"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}},
        content_type="application/strategic-merge-patch+json",
    )
    template = {
        "metadata": {"annotations": {"example.com/hash": "1"}},
        "spec": {"terminationGracePeriodSeconds": 1, "nodeSelector": {"example.com/egress": "yes"}},
    }
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": where, "spec": {"template": template}}
    namespace.cluster.server_side_apply(namespace.deployments, body=body, field_manager="tests")
    before = namespace.both()
    # The order of its work: what it does for the last one it has done for all before.
    operator()
    namespace.attachments.delete(name=NAD, namespace=namespace.name)
    namespace.annotate()
    until(namespace.nad, "the operator looked", SOON)
    always(lambda: namespace.deployment() == before[1], "it wrote the Deployment", 1)


def test_a_deleted_resource_takes_its_objects_along(operator: Operator, namespace: Namespace) -> None:
    operator()
    namespace.apply()
    namespace.both()
    namespace.routers.delete(name="billing-db", namespace=namespace.name, body={"propagationPolicy": "Foreground"})
    until(lambda: not namespace.find(namespace.routers, "billing-db"), "the resource is gone", SOON)
    until(lambda: (namespace.nad(), namespace.deployment()) == ({}, {}), "both are gone", SOON)


@pytest.mark.skipif(REAL, reason="only the stand-in can be slow")
def test_the_stand_in_can_be_slow_or_stopped(operator: Operator, namespace: Namespace) -> None:
    operator(delay=3)
    namespace.apply()
    always(lambda: namespace.nad() == {}, "it was not slow", 2)
    namespace.both()
    operator.stop()
    namespace.attachments.delete(name=NAD, namespace=namespace.name)
    namespace.annotate()
    always(lambda: namespace.nad() == {}, "it was not stopped", 2)
    operator()
    namespace.both()
