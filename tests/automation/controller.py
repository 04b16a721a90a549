# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What automation controller does with the files of examples/awx: from a launch to ansible-runner in the execution environment.

It is a stand-in: survey answers, extra variables and credentials become what the controller makes of them, in a private data directory.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ansible_runner
import yaml
from egress_lab.engine import Engine

ROOT = Path(__file__).resolve().parents[2]
# In the container, the private data directory.
RUNNER = "/runner"
# ansible-runner's own two files have the environment in clear.
OF_ANSIBLE_RUNNER = ("command", "env.list")
# Of the names of templates and workflows.
PREFIX = "Egress routers: "
_NUMBERS = itertools.count(1)


class Refused(Exception):
    """The controller does not launch this: the job template would answer 400."""


@dataclass(frozen=True)
class Files:
    """Templates, workflows and surveys, by name, with the surveys filled in as apply.yml has it."""

    templates: Mapping[str, Any]
    workflows: Mapping[str, Any]
    credentials: Mapping[str, Any]
    project: Mapping[str, str]

    @classmethod
    def read(cls) -> Files:
        found: dict[str, Any] = {}
        for path in (ROOT / "examples/awx/controller").glob("*.yml"):
            found |= yaml.safe_load(path.read_text())
        for entry in (*found["controller_templates"], *found["controller_workflows"]):
            if "survey_spec" in entry:
                name = re.fullmatch(r"\{\{ (\w+) \}\}", entry["survey_spec"])
                assert name is not None
                entry["survey_spec"] = found[name[1]]
        named = (
            {entry["name"]: entry for entry in found[f"controller_{kind}"]}
            for kind in ("templates", "workflows", "credentials")
        )
        return cls(*named, project=_documented_project())


def _documented_project() -> dict[str, str]:
    """The playbooks of the project as docs/awx.md has them."""
    page = (ROOT / "docs/awx.md").read_text()
    return dict(re.findall(r"^(\w+\.yml) +(- import_playbook: \S+)$", page, re.M))


def answered(survey: Mapping[str, Any], answers: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of a survey. What is wrong with the answers refuses the launch."""
    unknown = set(answers) - {question["variable"] for question in survey["spec"]}
    if unknown:
        raise Refused(f"not asked: {sorted(unknown)}")
    found = {}
    for question in survey["spec"]:
        name = question["variable"]
        value = answers.get(name, question["default"])
        if value == "":
            if question["required"]:
                raise Refused(f"'{name}' value missing")
            continue
        if question["type"] == "multiplechoice":
            if value not in question["choices"]:
                raise Refused(f"{value!r} is none of {question['choices']}")
        else:
            size = len(value) if isinstance(value, str) else value
            if not question["min"] <= size <= question["max"]:
                raise Refused(f"'{name}' has {size}, of {question['min']} to {question['max']}")
        found[name] = value
    return found


class _Unsafe(str):
    """A text of a survey or a launch: Ansible does not look for expressions in it."""


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(_Unsafe, lambda dumper, text: dumper.represent_scalar("!unsafe", str(text), style='"'))


def extra_variables(of_template: Mapping[str, Any], of_launch: Mapping[str, Any]) -> str:
    """env/extravars. Only those of the template may have expressions."""
    unsafe = {name: _Unsafe(value) if isinstance(value, str) else value for name, value in of_launch.items()}
    return yaml.dump({**of_template, **unsafe}, Dumper=_Dumper, width=10**9)


@dataclass(frozen=True)
class Credential:
    """What somebody entered, of one of the controller's types."""

    type: str
    inputs: Mapping[str, Any]

    def injected(self, folder: Path) -> dict[str, str]:
        """Environment variables of the job. Files are written to the folder, env of the private data directory."""
        given = self.inputs
        if self.type == "OpenShift or Kubernetes API Bearer Token":
            found = {
                "K8S_AUTH_HOST": given["host"],
                "K8S_AUTH_API_KEY": given["bearer_token"],
                "K8S_AUTH_VERIFY_SSL": "False",
            }
            if given.get("ssl_ca_cert"):
                found |= {"K8S_AUTH_VERIFY_SSL": "True", "K8S_AUTH_SSL_CA_CERT": _file(folder, given["ssl_ca_cert"])}
            return found
        if self.type == "OpenStack":
            auth = {key: given[key] for key in ("username", "password", "project_name", "auth_url")}
            cloud = {"clouds": {"devstack": {"auth": auth, "verify": True}}}
            return {"OS_CLIENT_CONFIG_FILE": _file(folder, yaml.safe_dump(cloud))}
        if self.type == "VMware vCenter":
            names = {"VMWARE_HOST": "host", "VMWARE_USER": "username", "VMWARE_PASSWORD": "password"}
            return {**{name: given[key] for name, key in names.items()}, "VMWARE_VALIDATE_CERTS": "True"}
        raise Refused(f"no credential type {self.type}")


def _file(folder: Path, text: str) -> str:
    """Its path in the container."""
    path = folder / f"credential-{next(_NUMBERS)}"
    path.write_text(text)
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    return f"{RUNNER}/env/{path.name}"


@dataclass(frozen=True)
class Job:
    """A job that has ended."""

    status: str
    rc: int
    stdout: str
    artifacts: Mapping[str, Any]
    changed: int
    folder: Path = field(repr=False)

    @property
    def text(self) -> str:
        """stdout in one line, as sentences are wrapped in it."""
        return " ".join(self.stdout.split())

    @property
    def failure(self) -> str:
        """What the task says that failed; of several, the last."""
        messages = [
            event["event_data"]["res"].get("msg", "")
            for event in self.events()
            if event["event"] == "runner_on_failed" and not event["event_data"].get("ignore_errors")
        ]
        return str(messages[-1]) if messages else ""

    def events(self) -> Iterator[dict[str, Any]]:
        for path in sorted(
            self.folder.glob("artifacts/*/job_events/*.json"), key=lambda one: int(one.name.partition("-")[0])
        ):
            yield json.loads(path.read_text())

    def files_with(self, secret: str) -> list[str]:
        """Which of what the job left has this text, apart from the two files that ansible-runner needs for itself."""
        found = []
        for path in sorted(self.folder.rglob("*")):
            inside = path.relative_to(self.folder)
            if (
                path.is_file()
                and inside.parts[0] != "env"
                and path.name not in OF_ANSIBLE_RUNNER
                and secret.encode() in path.read_bytes()
            ):
                found.append(str(inside))
        return found


def good(job: Job) -> Job:
    """It was successful."""
    assert (job.status, job.rc, job.failure) == ("successful", 0, ""), job.stdout
    return job


def bad(job: Job, sentence: str) -> Job:
    """It failed, and says why."""
    assert (job.status, job.rc) == ("failed", 2), job.stdout
    assert sentence in job.failure, job.failure
    # What people see says the same.
    assert sentence in job.text, job.stdout
    return job


@dataclass
class Controller:
    """`inventory`: its variables. `credentials`: by name, what was entered; `more` are those that every template has besides its own."""

    folder: Path
    engine: Engine
    image: str
    inventory: Mapping[str, Any]
    credentials: Mapping[str, Credential]
    more: Sequence[Credential] = ()
    files: Files = field(default_factory=Files.read)
    jobs: list[Job] = field(default_factory=list)

    def launch(self, name: str, answers: Mapping[str, Any] | None = None, verbosity: int = 0, **variables: Any) -> Job:
        """Of a job template, without its common prefix. `variables`: what the workflow before it hands on."""
        template = self.files.templates[f"{PREFIX}{name}"]
        given = dict(variables)
        if template.get("survey_enabled"):
            given |= answered(template["survey_spec"], answers or {})
        elif answers:
            raise Refused("nothing is asked")
        folder = self._private_data(template, given)
        words = ["--check"] * (template["job_type"] == "check") + ["--diff"] * template.get("diff_mode", False)
        words += [f"-{'v' * verbosity}"] * bool(verbosity)
        began = time.monotonic()
        runner = ansible_runner.run(
            private_data_dir=str(folder),
            playbook=template["playbook"],
            cmdline=" ".join(words),
            quiet=True,
            process_isolation=True,
            process_isolation_executable=self.engine.name,
            container_image=self.image,
            container_options=[
                "--user=root",
                "--network=host",
                *(["--pull=never"] if self.engine.name == "podman" else []),
            ],
        )
        (ended,) = [event["event_data"] for event in runner.events if event["event"] == "playbook_on_stats"] or [{}]
        job = Job(
            status=runner.status,
            rc=runner.rc,
            stdout=runner.stdout.read(),
            artifacts=ended.get("artifact_data", {}),
            changed=sum(ended.get("changed", {}).values()),
            folder=folder,
        )
        self.jobs.append(job)
        print(f"{template['name']}: {job.status} after {time.monotonic() - began:.1f} s")
        return job

    def workflow(self, name: str, answers: Mapping[str, Any] | None = None) -> Iterator[tuple[str, Job]]:
        """The jobs of a workflow, as far as they are successful; approvals are given. Artifacts reach the jobs behind."""
        workflow = self.files.workflows[f"{PREFIX}{name}"]
        given = answered(workflow["survey_spec"], answers or {}) if workflow.get("survey_enabled") else {}
        nodes = {node["identifier"]: node for node in workflow["workflow_nodes"]}
        node: Any = workflow["workflow_nodes"][0]
        while node:
            of = node["unified_job_template"]
            if of["type"] == "job_template":
                job = self.launch(of["name"].removeprefix(PREFIX), **given)
                yield node["identifier"], job
                if job.status != "successful":
                    return
                given |= job.artifacts
            following = node.get("related", {}).get("success_nodes", ())
            node = nodes[following[0]["identifier"]] if following else None

    def _private_data(self, template: Mapping[str, Any], variables: Mapping[str, Any]) -> Path:
        folder = self.folder / f"awx_{next(_NUMBERS)}"
        for name in ("project", "inventory/group_vars/all", "env"):
            (folder / name).mkdir(parents=True)
        folder.chmod(stat.S_IRWXU)
        playbook = template["playbook"]
        (folder / "project" / playbook).write_text(f"{self.files.project[playbook]}\n")
        (folder / "inventory/hosts.yml").write_text("all: {}\n")
        (folder / "inventory/group_vars/all/egress.yml").write_text(json.dumps(self.inventory))
        env: dict[str, str] = {}
        for name in template["credentials"]:
            entered = self.credentials[name]
            assert entered.type == self.files.credentials[name]["credential_type"]
            env |= entered.injected(folder / "env")
        for entered in self.more:
            env |= entered.injected(folder / "env")
        (folder / "env/envvars").write_text(json.dumps(env))
        (folder / "env/extravars").write_text(extra_variables(template.get("extra_vars", {}), variables))
        return folder


def prepare(engine: Engine) -> None:
    """ansible-runner calls the engine with this process' environment."""
    os.environ.update(engine.env)
