# Copyright (c) 2026, egress.router maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The alert rules, by promtool: each fires when it should, and not when it almost should.

After a change of monitoring/rules.yml: EGRESS_WRITE_MONITORING=1 tools/run pytest tests/unit/monitoring
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml

from ansible_collections.egress.router.plugins.module_utils._router.manifests import pod_monitor
from ansible_collections.egress.router.plugins.module_utils._router.router import Router, Service

ROOT = Path(__file__).parents[3]
RULES, OPERATORS = ROOT / "monitoring/rules.yml", ROOT / "monitoring/prometheus-rule.yml"
ALERTS = {rule["alert"]: rule for rule in yaml.safe_load(RULES.read_text())["groups"][0]["rules"]}

# Metric without its first words -> values, one a minute, as promtool writes them.
Series: TypeAlias = "Mapping[str, str]"
# Labels of the alert beside those of its router; when it fires, in minutes; series with which it does, and with which it does not.
Case: TypeAlias = "tuple[dict[str, str], int, Series, list[Series]]"

PORTS = '{pod="a",protocol="TCP",destination="203.0.113.10:5432",port="%s"}'
SERVER = {"pod": "a", "protocol": "TCP", "destination": "203.0.113.10:5432"}
TAKE_OVERS = 'take_overs_total{pod="a",cause="silent"}'
CASES: dict[str, Case] = {
    "EgressRouterNotServing": (
        {}, 3,
        {'state{pod="a",state="serving"}': "1 0x5", 'state{pod="b",state="serving"}': "0x6",
         'state{pod="a",state="on-hold"}': "0x6"},
        [{'state{pod="a",state="serving"}': "1 0x5", 'state{pod="b",state="serving"}': "0 1x5"},
         {'state{pod="a",state="serving"}': "0x6", 'state{pod="a",state="on-hold"}': "1x6"},
         # It had a minute to take over.
         {'state{pod="a",state="serving"}': "1 1 1 0 0"}],
    ),
    "EgressRouterGone": (
        {}, 8,
        {'build_info{pod="a",version="1"}': "1x3 stale"},
        [{'build_info{pod="a",version="1"}': "1x3 stale", 'build_info{pod="b",version="1"}': "_x4 1x9"},
         {'build_info{pod="a",version="1"}': "1x3 _ 1x9"}],
    ),
    "EgressRouterConflict": (
        {}, 2,
        {'state{pod="a",state="conflict"}': "0 0 1", 'state{pod="b",state="conflict"}': "0x5"},
        [{'state{pod="a",state="conflict"}': "0x5", 'address_claims_total{pod="a"}': "3x5"}],
    ),
    "EgressRouterRulesRefused": (
        {}, 3,
        {'rules_refused{pod="a"}': "0 1x5", 'rules_refused{pod="b"}': "0x6"},
        [{'rules_refused{pod="a"}': "0x6"}, {'rules_refused{pod="a"}': "0 0 0 1"}],
    ),
    "EgressRouterDriftRepaired": (
        {"kind": "route"}, 60,
        {'drift_repairs_total{pod="a",kind="route"}': "0x50 1 2 3 4 5x10"},
        [{'drift_repairs_total{pod="a",kind="route"}': "0x50 1 2 2x10"},
         # As many, of different kinds.
         {f'drift_repairs_total{{pod="a",kind="{kind}"}}': "0x50 1 2 2x10" for kind in ("route", "mac", "link")}],
    ),
    "EgressRouterNoSuccessor": (
        {}, 8,
        {'successor_able{pod="a"}': "1 1 0x9", 'beats_key{pod="a"}': "1x11"},
        [{'successor_able{pod="a"}': "0x11", 'beats_key{pod="a"}': "0x11"},
         {'successor_able{pod="a"}': "0x11", 'successor_able{pod="b"}': "1x11", 'beats_key{pod="a"}': "1x11",
          'beats_key{pod="b"}': "1x11"},
         {'successor_able{pod="a"}': "1 1 1 1 0x6", 'beats_key{pod="a"}': "1x11"}],
    ),
    "EgressRouterTakeOver": (
        {}, 6,
        {TAKE_OVERS: "0x4 1x5", 'take_overs_total{pod="b",cause="silent"}': "0x10"},
        [{TAKE_OVERS: "1x9"}, {'take_overs_total{pod="a",cause="handed-over"}': "0x4 1x5"}],
    ),
    "EgressRouterTakeOvers": (
        {}, 60,
        {TAKE_OVERS: "0x40 1 2 2x20", 'take_overs_total{pod="b",cause="expired"}': "0x45 1x20"},
        [{TAKE_OVERS: "0x40 1x21"}],
    ),
    "EgressRouterRightExpired": (
        {}, 60, {'fence_expired_total{pod="a"}': "0x40 1x20"}, [{'fence_expired_total{pod="a"}': "7x60"}]
    ),
    # Two rules that lead to the same server.
    "EgressRouterSourcePortsNearEnd": (
        SERVER, 6,
        {"rule_source_ports" + PORTS % 5432: "13000x9", "rule_source_ports" + PORTS % 5433: "14000x9",
         'source_ports{pod="a"}': "32256x9"},
        [{"rule_source_ports" + PORTS % 5432: "27000x9", 'source_ports{pod="a"}': "64512x9"},
         {"rule_source_ports" + PORTS % "fallback": "32000x9", 'source_ports{pod="a"}': "32256x9"},
         {"rule_source_ports" + PORTS % 5432: "27000x2 100x7", 'source_ports{pod="a"}': "32256x9"}],
    ),
    "EgressRouterConnectionTableNearEnd": (
        {"pod": "a"}, 6,
        {'conntrack_entries{pod="a"}': "900x9", 'conntrack_max{pod="a"}': "1000x9"},
        [{'conntrack_entries{pod="a"}': "700x9", 'conntrack_max{pod="a"}': "1000x9"},
         # The node tracks no connections.
         {'conntrack_entries{pod="a"}': "1x9", 'conntrack_max{pod="a"}': "0x9"}],
    ),
    "EgressRouterConnectionsDropped": (
        {}, 5,
        {'conntrack_insert_failed_total{pod="a"}': "0 0 0 7 7 7", 'conntrack_drop_total{pod="a"}': "0x6"},
        [{'conntrack_insert_failed_total{pod="a"}': "7x6", 'conntrack_drop_total{pod="a"}': "0x6"}],
    ),
    "EgressRouterBeatsRefused": (
        {"reason": "stranger"}, 20,
        {'beats_refused_total{pod="a",reason="stranger"}': "0+1x25"},
        # A pod of before a new key, for a while.
        [{'beats_refused_total{pod="a",reason="stranger"}': "0+1x4 5x20"}],
    ),
    "EgressRouterRelayStrangers": (
        {}, 5, {'relay_strangers_total{pod="a"}': "0 0 0 7 7 7"}, [{'relay_strangers_total{pod="a"}': "7x6"}]
    ),
    "EgressRouterNoKey": (
        {}, 8,
        {'beats_key{pod="a"}': "0x9", 'beats_key{pod="b"}': "1x9"},
        [{'beats_key{pod="a"}': "0x9"}, {'beats_key{pod="a"}': "1x9", 'beats_key{pod="b"}': "1x9"}],
    ),
    "EgressRouterLeaseSilent": (
        {}, 5,
        {'api_failing{pod="a",request="lease"}': "0 0 1x5", 'holder{pod="a"}': "1x9"},
        # A pod that stands by does not renew it.
        [{'api_failing{pod="a",request="lease"}': "1x9", 'holder{pod="a"}': "0x9"},
         {'api_failing{pod="a",request="rules"}': "1x9", 'holder{pod="a"}': "1x9"}],
    ),
    "EgressRouterApiFailing": (
        {"request": "endpoints"}, 7,
        {'api_failing{pod="a",request="endpoints"}': "0 1x9"},
        [{'api_failing{pod="a",request="lease"}': "1x9"}, {'api_failing{pod="a",request="rules"}': "1x4 0x5"}],
    ),
    "EgressRouterGatewaySilent": (
        {"gateway": "198.51.100.1"}, 5,
        {'gateway_answers{pod="a",gateway="198.51.100.1"}': "1 0x9"},
        [{'gateway_answers{pod="a",gateway="198.51.100.1"}': "0 1x9"}],
    ),
}  # fmt: skip


def series(namespace: str, given: Series) -> list[dict[str, str]]:
    router = f'{{namespace="{namespace}",router="db",'
    return [{"series": f"egress_router_{name.replace('{', router, 1)}", "values": v} for name, v in given.items()]


def told(alert: str, labels: Mapping[str, str], number: str = "") -> dict[str, str]:
    """The annotations, with what the labels say."""
    found = {}
    for key, text in ALERTS[alert]["annotations"].items():
        said = re.sub(r"{{ \$labels\.(\w+) }}", lambda match: labels[match[1]], text)
        found[key] = said.replace("{{ $value | humanizePercentage }}", number)
    return found


NUMBERS = {"EgressRouterSourcePortsNearEnd": "83.71%", "EgressRouterConnectionTableNearEnd": "90%"}


def promtool_tests() -> dict[str, Any]:
    """Of each alert one test: the router of the namespace payments fires, those of the others do not."""
    tests = []
    for alert, (more, minute, fires, quiet) in CASES.items():
        of_router = {"namespace": "payments", "router": "db", **more}
        labels = {**of_router, **ALERTS[alert]["labels"]}
        fired = {"exp_labels": labels, "exp_annotations": told(alert, of_router, NUMBERS.get(alert, ""))}
        given = series("payments", fires)
        for number, one in enumerate(quiet):
            given += series(f"quiet-{number}", one)
        asked = {"eval_time": f"{minute}m", "alertname": alert, "exp_alerts": [fired]}
        tests.append({"interval": "1m", "input_series": given, "alert_rule_test": [asked]})
    return {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}


def promtool(*arguments: str) -> str:
    process = subprocess.run([ROOT / "tools/promtool", *arguments], check=False, capture_output=True, text=True)
    return f"{process.returncode}\n{process.stdout}{process.stderr}"


def test_each_alert_fires_and_does_not(tmp_path: Path) -> None:
    assert list(CASES) == list(ALERTS), "each alert has its case, in the order of the rules"
    assert all(fires and quiet for _labels, _minute, fires, quiet in CASES.values())
    file = tmp_path / "tests.yml"
    file.write_text(yaml.safe_dump(promtool_tests(), sort_keys=False, allow_unicode=True))
    found = promtool("test", "rules", str(file))
    assert found.startswith("0\n"), found


def test_what_is_not_expected_is_noticed(tmp_path: Path) -> None:
    """Of promtool, with the first alert: one that fires and should not, and one that should and does not."""
    for expected in ([], [{"exp_labels": {"namespace": "quiet-0"}}]):
        tests = promtool_tests()
        del tests["tests"][1:]
        tests["tests"][0]["alert_rule_test"][0]["exp_alerts"] = expected
        file = tmp_path / "tests.yml"
        file.write_text(yaml.safe_dump(tests))
        found = promtool("test", "rules", str(file))
        assert found.startswith("1\n") and "alertname: EgressRouterNotServing" in found, found


def test_the_rules_name_metrics_and_labels_that_there_are() -> None:
    rows = re.findall(r"^\| (`egress_router_.+?) \|", (ROOT / "images/router/README.md").read_text(), re.M)
    metrics = {name for row in rows for name in re.findall(r"`(egress_router_\w+)`", row)}
    named = {alert: set(re.findall(r"egress_router_\w+", rule["expr"])) for alert, rule in ALERTS.items()}
    assert all(named.values()) and not {name for names in named.values() for name in names} - metrics


def test_every_alert_says_which_router_how_bad_and_what_to_do() -> None:
    for alert, rule in ALERTS.items():
        assert rule["labels"]["severity"] in ("critical", "warning", "info"), alert
        assert "{{ $labels.namespace }}/{{ $labels.router }}" in rule["annotations"]["summary"], alert
        assert rule["annotations"]["description"].endswith("."), alert


def test_every_alert_is_explained() -> None:
    page = (ROOT / "docs/monitoring.md").read_text()
    assert re.findall(r"^\| `(EgressRouter\w+)` \|", page, re.M) == list(ALERTS), "one row each, in their order"
    for alert, severity in re.findall(r"^\| `(EgressRouter\w+)` \| (\w+) \|", page, re.M):
        assert ALERTS[alert]["labels"]["severity"] == severity, alert


HEAD = """---
# Made of rules.yml by tests/unit/monitoring/test_rules.py.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: egress-router
  labels:
    app.kubernetes.io/name: egress-router
spec:
"""


def test_the_operators_rules_are_the_same() -> None:
    _head, found, rest = RULES.read_text().partition("groups:\n")
    text = HEAD + "".join(f"  {line}" if line.strip() else line for line in (found + rest).splitlines(keepends=True))
    if os.environ.get("EGRESS_WRITE_MONITORING"):
        OPERATORS.write_text(text)
    assert OPERATORS.read_text() == text, "see the top of this file"
    assert yaml.safe_load(text)["spec"] == yaml.safe_load(RULES.read_text())


def test_alertmanager_sends_on_alerts_that_there_are() -> None:
    (route,) = yaml.safe_load((ROOT / "monitoring/alertmanager.yml").read_text())["route"]["routes"]
    (matcher,) = route["matchers"]
    name, _operator, pattern = matcher.split()
    # Alertmanager's regular expressions are about the whole value.
    sent = [alert for alert in ALERTS if re.fullmatch(pattern.strip('"'), alert)]
    assert (name, len(sent)) == ("alertname", pattern.count("|") + 1), "each of its words is an alert"
    assert all(ALERTS[alert]["labels"]["severity"] != "info" for alert in sent)
    page = (ROOT / "docs/events.md").read_text()
    assert all(f"`{alert}`" in page for alert in sent)


@pytest.mark.parametrize("label", ["router", "node"])
def test_without_the_operator_series_get_the_same_labels(label: str) -> None:
    (job,) = yaml.safe_load((ROOT / "monitoring/scrape.yml").read_text())["scrape_configs"]
    given = {one["target_label"]: one["source_labels"] for one in job["relabel_configs"] if "target_label" in one}
    (endpoint,) = pod_monitor(Router("db", "payments", Service("db")))["spec"]["podMetricsEndpoints"]
    operators = {one["targetLabel"]: one["sourceLabels"] for one in endpoint["relabelings"]}
    # The operator adds the first two itself.
    assert set(given) == {"namespace", "pod", *operators}
    assert given[label] == operators[label]
