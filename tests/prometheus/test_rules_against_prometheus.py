"""The same rules, applied by a real Prometheus to the hub's plain output and by the hub, give the same series.

One Prometheus scrapes every case twice: the plain output with metric_relabel_configs, and the hub's output with the
rules applied. Both sides therefore use the same parser and storage.
"""

import json
import random
import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from exporters.prometheus import metrics, text
from exporters.prometheus.collector import SnapshotCollector
from exporters.prometheus.labelling import LabelRules
from exporters.prometheus.relabel import ACTIONS, Rule, RuleError
from exporters.servicebus.entities import Queue, Snapshot
from tests.support import programs
from tests.support.prometheus import PrometheusServer

from . import rule_lists

pytestmark = pytest.mark.e2e

CASES = 250
SEED = 20_260_101
GROUPS = {metrics.STATE, metrics.INFO}
# Metrics about the scrape itself, in the hub and in Prometheus.
ABOUT = {metric.name for metric in metrics.SCRAPE_METRICS}


@dataclass(frozen=True)
class Case:
    rules: Sequence[Mapping[str, Any]]
    snapshot: Snapshot


def exposition(case: Case, *, with_rules: bool) -> bytes:
    rules = [Rule.from_config(rule, legacy_names=True) for rule in case.rules if with_rules]
    families = SnapshotCollector(case.snapshot, groups=GROUPS, rules=LabelRules(tuple(rules))).collect()
    return text.render([family for family in families if family.name not in ABOUT], text.negotiate(""))


class Scraped:
    """Serves each case's two bodies: /plain/N and /ruled/N."""

    def __init__(self, cases: Sequence[Case]) -> None:
        bodies = {
            f"/{side}/{number}": exposition(case, with_rules=side == "ruled")
            for number, case in enumerate(cases)
            for side in ("plain", "ruled")
        }

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = bodies[self.path]
                self.send_response(200)
                self.send_header("Content-Type", text.negotiate("").content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


class RelabellingPrometheus(PrometheusServer):
    """A Prometheus with two jobs for each case."""

    def __init__(self, address: str, cases: Sequence[Case]) -> None:
        super().__init__()
        jobs = []
        for number, case in enumerate(cases):
            for side in ("plain", "ruled"):
                job = {
                    "job_name": f"{side}-{number}",
                    "metrics_path": f"/{side}/{number}",
                    "static_configs": [{"targets": [address], "labels": {"zz_case": f"{side}-{number}"}}],
                }
                if side == "plain":
                    job["metric_relabel_configs"] = list(case.rules)
                jobs.append(job)
        times = {"scrape_interval": "10s", "scrape_timeout": "10s"}
        self.configure({"global": times, "scrape_configs": jobs})


PATTERNS = (
    *(
        r"\C",
        r"a\\C",
        r"\Q\C\Ea",
        r"\Qa\E\C",
        "(?P<n>a)(?P<n>b)",
        "(?P<é>a)",
        r"\pN",
        r"\p{Greek}",
        r"\p{Nope}",
    ),
    *(
        "a{1001}",
        "a{1000}",
        "(a{1000}){2}",
        r"\8",
        "[[:word:]]",
        "[[:foo:]]",
        r"\Z",
        r"\z",
        r"\A",
        "(?i:a)",
        "x**",
    ),
    *(
        "x{2}{3}",
        r"\x{10FFFF}",
        r"\x{110000}",
        r"\Qa\E\Q(\E",
        "(?U)a+",
        "(?m)^a$",
        "(?x)a",
        r"\h",
        r"\R",
        r"\X",
    ),
    *(
        "[^]a]",
        "[a",
        "a]",
        "{",
        "a{,2}",
        "a{2,1}",
        "(?P<1>a)",
        "(?P=n)",
        r"\b\B",
        r"\G",
        "()",
        "|",
        "(?#x)",
        r"\_",
    ),
    *(
        "\\",
        r"\é",
        r"[\d-z]",
        r"\p{^Greek}",
        r"\123",
        r"\e",
        "(?P<name",
        "(?P<>a)",
        "(?=a)",
        "(?!a)",
        "(?>a)",
        "a++",
    ),
)


def refused(rule: dict[str, Any]) -> str:
    """Return why the hub refuses a rule; empty if it doesn't."""
    try:
        Rule.from_config(rule, legacy_names=True)
    except RuleError as error:
        return str(error)
    return ""


def test_prometheus_and_the_hub_take_the_same_rules(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    rules: list[dict[str, Any]] = [{"regex": pattern, "target_label": "a"} for pattern in PATTERNS]
    rules += [rule_lists.careless_rule(chance) for _ in range(600)]
    files = []
    for number, rule in enumerate(rules):
        file = tmp_path / f"{number}.yml"
        jobs = [{"job_name": "x", "metric_relabel_configs": [rule]}]
        file.write_text(json.dumps({"scrape_configs": jobs}))
        files.append(str(file))
    promtool = programs.require("promtool")
    done = subprocess.run(
        [promtool, "check", "config", *files], capture_output=True, text=True, timeout=120, check=False
    )
    taken = set(re.findall(r"SUCCESS: \S*/(\d+)\.yml", done.stdout))
    for number, rule in enumerate(rules):
        refusal = refused(rule)
        assert (str(number) in taken) == (not refusal), f"{rule}: {refusal or 'taken'}"
    assert len(rules) * 0.2 < len(taken) < len(rules) * 0.8


Series = dict[frozenset[tuple[str, str]], str]
OWN = {"up", "scrape_duration_seconds", "scrape_samples_post_metric_relabeling", "scrape_samples_scraped",
       "scrape_series_added"}  # fmt: skip


@dataclass
class Outcome:
    """By side and case: whether Prometheus accepted the scrape, and the series that it stored."""

    up: dict[str, bool]
    series: dict[str, Series]


def scraped_by_prometheus(cases: Sequence[Case]) -> Outcome:
    programs.require("prometheus")
    scraped = Scraped(cases)
    try:
        address = f"127.0.0.1:{scraped.server.server_port}"
        with RelabellingPrometheus(address, cases) as prometheus:
            deadline = time.monotonic() + 180
            while len(up := prometheus.query("up")) < 2 * len(cases):
                assert time.monotonic() < deadline, f"only {len(up)} of {2 * len(cases)} scrapes"
                time.sleep(0.5)
            outcome = Outcome({each["metric"]["zz_case"]: each["value"][1] == "1" for each in up}, {})
            for each in prometheus.query('{zz_case=~".+"}'):
                labels = each["metric"]
                if labels.get("__name__") in OWN:
                    continue
                case = labels.pop("zz_case")
                of_job = {name: value for name, value in labels.items() if name not in {"job", "instance"}}
                outcome.series.setdefault(case, {})[frozenset(of_job.items())] = each["value"][1]
            return outcome
    finally:
        scraped.close()


def generated() -> Iterator[Case]:
    chance = random.Random(SEED)
    for _ in range(CASES):
        yield Case(rule_lists.rules(chance), rule_lists.snapshot(chance))
        yield Case(rule_lists.touchy_rules(chance), rule_lists.snapshot(chance))
    for rule in rule_lists.TOUCHY:
        yield Case([rule], rule_lists.snapshot(chance))


def every_special_letter() -> Case:
    """Return the letters that Python would turn into two, and some similar ones, in both directions."""
    special = [
        letter
        for letter in map(chr, range(0x80, 0xD800))
        if max(map(len, (letter.upper(), letter.lower(), letter.title()))) > 1
    ]
    name = "".join(special) + "\u017f\u0131\u01c5\u212a\u1e9e\u03a3 \ufb01"
    rules = [
        {"action": "uppercase", "source_labels": ["name"], "target_label": "upper"},
        {"action": "lowercase", "source_labels": ["name"], "target_label": "lower"},
    ]
    return Case(rules, Snapshot((Queue(name, "active"),)))


def test_prometheus_and_the_hub_end_in_the_same_series() -> None:
    cases = list(generated())
    cases.append(every_special_letter())
    outcome = scraped_by_prometheus(cases)
    compared, changed = Counter[str](), 0
    for number, case in enumerate(cases):
        assert outcome.up[f"ruled-{number}"], f"Prometheus can't read what the hub makes of {case.rules}"
        if not outcome.up[f"plain-{number}"]:
            continue  # these rules remove or break a metric's name, and Prometheus refuses the whole scrape
        expected = outcome.series.get(f"plain-{number}", {})
        assert outcome.series.get(f"ruled-{number}", {}) == expected, f"{case.rules} over {case.snapshot}"
        compared.update({rule.get("action", "replace") for rule in case.rules})
        changed += exposition(case, with_rules=True) != exposition(case, with_rules=False)
    assert min(compared[action] for action in ACTIONS) >= 25, compared
    assert changed > len(cases) * 0.7
    assert sum(outcome.up[f"plain-{number}"] for number in range(len(cases))) > len(cases) * 0.9
