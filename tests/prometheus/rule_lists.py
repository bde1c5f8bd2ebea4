"""Seeded random label rules, and snapshots for them: rules that people write, and rules that nobody would."""

import random
from typing import Any

from exporters.prometheus.relabel import ACTIONS
from exporters.servicebus.entities import Counts, Queue, Snapshot, Subscription, Topic

Config = dict[str, Any]

# Prometheus's own target labels, which it would rename or lose; no pattern for names here matches them.
TARGET_LABELS = "__name__|job|instance|zz_case"
_LABELS = ("name", "topic_name", "status", "forward_to", "l0", "l1", "l2", "none")
_TARGETS = ("l0", "l1", "l2", "name", "status", "topic_name")
_PATTERNS = (
    *(
        "(.*)",
        "(.+)",
        "",
        "o.*",
        "([a-z]+)[-/.](.*)",
        "(?i)ORDERS.*",
        "(?P<first>.).*",
        "(a|o|.*)(s?)",
        r".*(\d+)",
    ),
    *(
        "[^/]+/(.*)",
        "(?:x|(y))?.*",
        r"(\w+)\W(\w+)(\W.*)?",
        "(.*?)(e|é)(.*)",
        "active|disabled",
        r"\p{Lu}.*",
        "(a+)+$",
    ),
    *("[[:alpha:]]+", r"\Qorders\E.*", "(?U)(.*)s(.*)", "sb://([^/]*)/(.*)", ".*;.*"),
)
_TEMPLATES = (
    *(
        "$1",
        "${1}",
        "$1-$2",
        "${first}",
        "$0",
        "x",
        "",
        "$$1",
        "$1x",
        "${2}_${1}",
        "pre$1",
        "$",
        "${1",
        "é$1",
    ),
)
_METRICS = ("servicebus_(queue|topic)_(.*)", ".*_active_.*", "servicebus_.*_status", "(.*)_messages", "(.+)")
_MAPS = (
    *(
        ("name|topic_name", "$0"),
        ("n(.*)", "$1"),
        ("[^ijz_](.*)", "$0"),
        ("l(.)", "${1}"),
        ("(?P<w>s).*", "${w}"),
    ),
)
_NAMES = (
    *(
        "orders",
        "invoices",
        "team/orders",
        "a.b-c_d",
        "ORDERS.New",
        "events",
        "billing",
        "y",
        "Größe",
        "ǅ straße İ",
    ),
    *('quo"te', "back\\slash", "q-1", "q-2", "$1", "ΑΣ", "a" * 40, "日本/語", "x;y"),
)


def snapshot(chance: random.Random) -> Snapshot:
    """Return some entities; metrics with equal labels have different values, which shows which one was kept."""

    def counts() -> Counts:
        return Counts(*(chance.randrange(1, 10**6) for _ in range(5)))

    def state() -> Any:
        return chance.choice(["active", "disabled", None])

    names = chance.sample(_NAMES, 5)
    queues = tuple(
        Queue(name, state(), chance.choice([counts(), None, counts()]), size_bytes=chance.randrange(1, 10**6),
              forward_to=chance.choice([None, "sb://bus/orders"]), partitioned=chance.choice([True, None]))
        for name in names[:3]
    )  # fmt: skip
    topics = tuple(Topic(name, state(), counts()) for name in names[2:4])
    subscriptions = tuple(
        Subscription(topic.name, name, state(), counts()) for topic in topics for name in names[3:]
    )
    return Snapshot(queues, topics, subscriptions, collectors={})


def rules(chance: random.Random) -> list[Config]:
    return [_rule(chance, number) for number in range(chance.randint(1, 6))]


# Rules on what distinguishes an entity's series: the metric's name, and labels that only some metrics have.
TOUCHY: tuple[Config, ...] = (
    {"action": "labelmap", "regex": "__name__", "replacement": "name"},
    {"action": "labelmap", "regex": "__name__", "replacement": "l0"},
    {"action": "labelmap", "regex": "status", "replacement": "name"},
    {"action": "labelmap", "regex": "status", "replacement": "__name__"},
    {"action": "labelmap", "regex": "st(.*)", "replacement": "s$1"},
    {"action": "labelmap", "regex": "partitioned", "replacement": "status"},
    {"action": "labeldrop", "regex": "status"},
    {"action": "labeldrop", "regex": "name"},
    {"action": "labeldrop", "regex": "name|topic_name|status"},
    {"action": "labelkeep", "regex": f"name|{TARGET_LABELS}"},
    {"action": "labelkeep", "regex": TARGET_LABELS},
    {"source_labels": ["status"], "target_label": "name"},
    {"source_labels": ["name"], "target_label": "status"},
    {"source_labels": ["status", "name"], "regex": "active;(.*)", "target_label": "l1"},
    {"source_labels": ["status"], "regex": "(.+)", "target_label": "${1}"},
    {"source_labels": ["name"], "regex": "([a-z]).*", "target_label": "status_$1", "replacement": "$0"},
    {"source_labels": ["__name__"], "target_label": "l2"},
    {"source_labels": ["__name__"], "regex": "servicebus_(queue|topic)_.*", "target_label": "name"},
    {"source_labels": ["__name__"], "regex": ".*_(status|info)", "action": "drop"},
    {"source_labels": ["__name__", "__name__"], "separator": "", "regex": "(.*_status)+", "action": "keep"},
    {"source_labels": ["__name__"], "regex": ".*_status", "action": "keep"},
    {"source_labels": ["__name__", "name"], "regex": ".*_status;o.*", "action": "drop"},
    {
        "source_labels": ["name", "__name__"],
        "regex": "(o.*);.*",
        "target_label": "__name__",
        "replacement": "one",
    },
    {"source_labels": ["__name__"], "action": "hashmod", "modulus": 3, "target_label": "l0"},
    {"source_labels": ["__name__"], "action": "uppercase", "target_label": "name"},
    {"source_labels": ["forward_to"], "action": "keepequal", "target_label": "none"},
    {"source_labels": ["status"], "action": "dropequal", "target_label": "l0"},
    {"target_label": "__name__", "replacement": "all_in_one"},
)


def touchy_rules(chance: random.Random) -> list[Config]:
    """Return rules, at least one of which is on what distinguishes an entity's series."""
    found = rules(chance)[:3] if chance.random() < 0.7 else []
    for _ in range(chance.randint(1, 3)):
        found.insert(chance.randint(0, len(found)), chance.choice(TOUCHY))
    return found


def _rule(chance: random.Random, number: int) -> Config:
    action = chance.choice([*ACTIONS, "replace", "replace", "replace"])
    if action in {"labeldrop", "labelkeep"}:
        names = "|".join(chance.sample([*_LABELS, "l.*", "t.*", "m.*"], chance.randint(1, 5)))
        return {"action": action, "regex": f"{names}|{TARGET_LABELS}" if action == "labelkeep" else names}
    if action == "labelmap":
        # No two labels become one, because Prometheus 2.x and 3.x choose differently then.
        pattern, template = chance.choice(_MAPS)
        return {"action": action, "regex": pattern, "replacement": f"m{number}_{template}"}
    rule: Config = {"action": action} if action != "replace" or chance.random() < 0.5 else {}
    about_name = chance.random() < 0.15
    if about_name and action not in {"keepequal", "dropequal"}:
        rule["source_labels"] = ["__name__"]
        if chance.random() < 0.3:
            rule["source_labels"].append(chance.choice(_LABELS))
    elif chance.random() < 0.9:
        rule["source_labels"] = chance.choices(_LABELS, k=chance.choice([1, 1, 1, 2, 3]))
    if action in {"keepequal", "dropequal"}:
        return {**rule, "target_label": chance.choice(_LABELS)}
    if chance.random() < 0.3:
        rule["separator"] = chance.choice(["", ",", " ", "$1", "é"])
    if chance.random() < 0.8 or action in {"keep", "drop"}:
        rule["regex"] = chance.choice(_METRICS if about_name else _PATTERNS)
    if action == "keep" and chance.random() < 0.7:
        rule["regex"] = f"{rule['regex']}|.*[a-m].*"  # otherwise, most lists would leave almost nothing
    if action in {"keep", "drop"}:
        return rule
    if action == "hashmod":
        rule["modulus"] = chance.choice([1, 2, 7, 1000, 2**63, 2**64 - 1])
    rule["target_label"] = chance.choice(_TARGETS)
    if action == "replace":
        if chance.random() < 0.15:
            rule["target_label"] = chance.choice(["l_$1", "${1}", "l${2}", "$1$2"])
        if chance.random() < 0.7:
            rule["replacement"] = chance.choice(_TEMPLATES)
        if about_name and chance.random() < 0.5:
            rule |= {
                "target_label": "__name__",
                "replacement": chance.choice(["renamed_$1", "one", "${1}_$2"]),
            }
    return rule


def careless_rule(chance: random.Random) -> Config:
    """Return a rule that may have keys its action doesn't use, or lack keys that it needs."""
    rule: Config = {"action": chance.choice(ACTIONS)}
    choices: dict[str, tuple[Any, ...]] = {
        "source_labels": (["name"], ["a", "b"], ["a-b"], ["1a"], ["__meta_x"]),
        "separator": (";", ",", ""),
        # Not the default, which Prometheus treats as a different regex when it is written out.
        "regex": ("a.*", "", "("),
        "modulus": (0, 1, 2**64 - 1),
        "target_label": ("a", "a_$1", "${1}", "$", "${", "a-b", "", "$1-", "__tmp_a", "é", "${é}", "a$b$c"),
        "replacement": ("$1", "x", "${1}_y", "", "a-b", "$", "1a", "a1"),
    }
    for key, values in choices.items():
        if chance.random() < (0.6 if key == "target_label" else 0.25):
            rule[key] = chance.choice(values)
    if rule["action"] != "replace" and "$" in rule.get("target_label", ""):
        # Some actions of Prometheus 2.x accept it, and then write a label that can't be read.
        del rule["target_label"]
    return rule
