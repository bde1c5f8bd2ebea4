"""`python -m bench.rules`: what label rules cost a scrape, in milliseconds of CPU.

Measures 20,000 queues with ten rules as teams write them, and with ten that each split up the name. A scrape applies
rules only to entities that are new since the previous scrape, so the first scrape pays for all entities and later ones
for almost none.
"""

import gc
import time
from collections.abc import Sequence
from typing import Any

from exporters.prometheus import labelling, metrics
from exporters.prometheus.collector import EntityFamilies
from exporters.prometheus.labelling import LabelRules
from exporters.prometheus.relabel import Rule
from exporters.servicebus.entities import Counts, Queue, Snapshot

ENTITIES = 20_000
GOAL_MILLISECONDS = 150
_REPEATS = 5
_TYPICAL: tuple[dict[str, Any], ...] = (
    {"source_labels": ["name"], "regex": r"(team\d+)-(.*)-\d+", "target_label": "team"},
    {"source_labels": ["name"], "regex": r"team\d+-(.*)-\d+", "target_label": "domain"},
    {
        "source_labels": ["__meta_servicebus_user_metadata"],
        "regex": "owner=(.+)",
        "target_label": "owner",
    },
    {"source_labels": ["__meta_servicebus_namespace"], "target_label": "namespace"},
    {"source_labels": ["name"], "regex": "tmp-.*", "action": "drop"},
    {
        "source_labels": ["name"],
        "regex": ".*-critical-.*",
        "target_label": "criticality",
        "replacement": "high",
    },
    {"source_labels": ["owner"], "action": "uppercase", "target_label": "owner"},
    {"source_labels": ["__meta_servicebus_status"], "regex": "disabled", "action": "drop"},
    {"source_labels": ["__name__"], "regex": ".*_transfer_.*", "action": "drop"},
    {"regex": "unwanted_.*", "action": "labeldrop"},
)
_HEAVY = tuple(
    {"source_labels": ["name"], "regex": f"([a-z0-9]+)-(.*){number}?", "target_label": f"part{number}"}
    for number in range(10)
)


def main() -> None:
    queues = [
        Queue(
            f"team{number % 40}-orders-{number:05}",
            "active",
            Counts(1, 2, 3, 4, 5),
            user_metadata=f"owner=team{number % 40}",
        )
        for number in range(ENTITIES)
    ]
    print(f"label rules: {ENTITIES:,} entities x 10 rules, ms of CPU (goal: {GOAL_MILLISECONDS})")
    for title, configs in (
        ("rules as teams write them", _TYPICAL),
        ("ten rules that split the name", _HEAVY),
    ):
        rules = tuple(map(Rule.from_config, configs))
        without = min(_milliseconds(queues, ()) for _ in range(_REPEATS))
        first = min(_first(queues, rules) for _ in range(_REPEATS)) - without
        later = min(_milliseconds(queues, rules) for _ in range(_REPEATS)) - without
        print(f"{title:30}  first scrape {first:6.0f}  each later one {max(0.0, later):6.0f}")


def _first(queues: Sequence[Queue], rules: tuple[Rule, ...]) -> float:
    labelling.forget()
    return _milliseconds(queues, rules)


def _milliseconds(queues: Sequence[Queue], rules: tuple[Rule, ...]) -> float:
    gc.collect()
    started = time.process_time()
    groups = metrics.DEFAULT_GROUPS | {metrics.MESSAGES}
    snapshot = Snapshot(tuple(queues))
    EntityFamilies(snapshot, groups, LabelRules(rules, (("namespace", "payments"),)))
    return (time.process_time() - started) * 1000


if __name__ == "__main__":
    main()
