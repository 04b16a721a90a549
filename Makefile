# The table of contents of everything a developer or CI runs. The work is in tools/, tests/ and benchmarks/.
# Every target installs what it needs; a second run finds it in ${EGRESS_CACHE:-~/.cache/egress.router}.
.DEFAULT_GOAL := help
.PHONY: help venv demo test lint lint-all format docs interface mutants graph sanity sanity-oldest units-oldest units-ansible-test importer unit simulation agent-test api-server-test events-test neutron-test vsphere-test openshift-test automation-test automation-lab-test rulebook-test ee de lab lab-down lab-test image sbom molecule bench

run := tools/run
SCHEDULES ?= 100000
# Sanity tests whose answer depends on ansible-core's version. The others look at text alone.
of_core := action-plugin-docs ansible-doc compile ignores import runtime-metadata validate-modules
# Unit tests of what imports ansible-core. All other code is the same with any: tools/graph.py refuses it there.
units_of_core := $(addprefix tests/unit/,extensions $(addprefix plugins/,action filter lookup modules plugin_utils \
  $(addprefix module_utils/,_common _kubernetes _openstack _vsphere)))

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z%A-Z-]+:.*## / {printf "  %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: venv image ## Provision an egress router on a real cluster and show what the outside server saw
	$(run) tools/demo

test: venv ## All checks and tests but those in the execution environment, with a table of stages and seconds
	$(run) python tools/test.py

venv: ## The Python environment and the collection's place in it
	$(run) true

lint: venv ## ruff, mypy, shellcheck, yamllint, ansible-lint (production)
	$(run) tools/lint

lint-all: venv ## The same, and ansible-lint reads the tests' playbooks too
	$(run) tools/lint all

format: venv ## Put Python files into shape
	$(run) ruff check --fix-only .
	$(run) ruff format .

docs: venv ## antsibull-docs and antsibull-changelog; no option changes without a fragment
	$(run) tools/docs

interface: venv ## Take over the options as they are now: at a release, or when fragments tell what changed
	$(run) python tools/interface.py write

mutants: venv ## Break the code in many ways and see a unit test fail each time
	$(run) python tools/mutants.py

sanity: venv ## ansible-test sanity
	$(run) tools/ansible-test sanity

sanity-oldest: venv ## What of it depends on ansible-core, with the oldest that is supported
	$(run) tools/oldest tools/ansible-test sanity $(addprefix --test ,$(of_core))

units-oldest: venv ## The unit tests of what runs in ansible-core, with the oldest that is supported
	$(run) tools/oldest pytest $(units_of_core) -n 2

units-ansible-test: venv ## The unit tests within ansible-test
	$(run) tools/ansible-test units

importer: venv ## galaxy-importer on the built collection
	$(run) tools/importer

graph: venv ## Packages, floors and who imports whom
	$(run) python tools/graph.py

unit: venv ## Unit tests and the rules of the tree
	$(run) pytest tests/unit -n 2

simulation: venv ## 100,000 random schedules of the failover protocol on all cores; SCHEDULES=1000000 for more
	EGRESS_SCHEDULES=$(SCHEDULES) $(run) pytest tests/unit/image/test_protocol.py -k 'random_schedules or finds_the_mistake' -n auto -rP

agent-test: venv ## The router's agent in network namespaces with real nftables
	$(run) tests/agent/run

api-server-test: venv ## Backend egress_router_cr, pairs, cut-overs and address pools, on a real API server with its controllers
	$(run) tests/api_server/run

events-test: venv ## Problems of routers, through a real ansible-rulebook to what it runs
	$(run) tests/events/run

neutron-test: venv ## The OpenStack modules on real Keystone and Neutron
	$(run) tests/neutron/run

vsphere-test: venv ## The vSphere modules on a simulated vCenter
	$(run) tests/vcsim/run

openshift-test: venv ## The stand-ins for OpenShift's operator and its CNI plugin themselves
	$(run) pytest tests/lab/test_openshift_operator.py tests/lab/test_openshift_plugin.py -n 2 --dist loadfile

ee: venv ## The execution environment, with the checkout's collection
	$(run) python tools/environments.py ee

de: venv ## The decision environment, with the checkout's collection
	$(run) python tools/environments.py de

automation-test: venv ## Job templates of examples/awx, run by ansible-runner in the execution environment; CI runs it after "make test"
	$(run) tests/automation/run ee

automation-lab-test: venv image ## Job templates, and rulebooks about real faults, on the lab; CI runs it after "make test"
	$(run) tests/automation/run lab

rulebook-test: venv ## A rulebook in the decision environment; not part of "make test"
	$(run) tests/automation/run de

lab: ## A kind cluster with an egress segment and an outside server
	tests/lab/lab up

lab-down: ## Remove the lab; its caches stay
	tests/lab/lab down

lab-test: venv image ## The lab's own promises, and the tests of its Multus stand-in
	$(run) pytest tests/lab/test_lab.py
	tests/lab/lab test-programs

image: lab ## The router's image, built and loaded into the lab
	tests/lab/lab build-image

sbom: ## The packages of the router's image and their licences, as CycloneDX, in a file
	tools/sbom

molecule-%: venv image ## One molecule scenario, on a lab that is up or not
	$(run) tools/molecule $*

molecule: $(patsubst molecule/%/molecule.yml,molecule-%,$(wildcard molecule/*/molecule.yml)) ## All of them

bench: venv image ## Speed, as ratios of one run
	$(run) benchmarks/run
