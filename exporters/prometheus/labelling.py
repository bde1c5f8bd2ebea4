"""Apply label rules to the entities of a read: which labels the series of each entity have."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import Any, NamedTuple

from . import metrics as catalogue
from .metrics import EntityMetric
from .relabel import (
    MAX_LABEL_VALUE_CHARACTERS,
    MAX_LABELS_PER_SERIES,
    Rule,
    is_label_name,
    is_metric_name,
)
from .relabel_actions import Program, Work, present, program
from .relabel_outcomes import LabelLimitError
from .rule_plan import NAME, Plan, labels_read, plan, shared_beginning

# The CPU time that the rules of one scrape may take, in seconds.
MAX_RULE_SECONDS = 5
_LOOK_SECONDS = 0.005  # between checks of the CPU time used
# The values of all labels in one exposition together.
MAX_LABEL_BYTES = 100_000_000

Labels = dict[str, str]
PREFIX = "__meta_servicebus_"
# What rules can see of an entity in addition to its own labels, by kind.
_META: dict[str, dict[str, Callable[[Any], Any]]] = {
    catalogue.QUEUE: {
        name: attrgetter(name)
        for name in ("status", "forward_to", "user_metadata", "partitioned", "requires_session")
    },
    catalogue.TOPIC: {name: attrgetter(name) for name in ("status", "user_metadata", "partitioned")},
    catalogue.SUBSCRIPTION: {
        name: attrgetter(name) for name in ("status", "forward_to", "user_metadata", "requires_session")
    },
}
# Names that no rule can give to a metric: those of the metrics about the scrape.
_OWN_METRICS = frozenset(metric.name for metric in catalogue.SCRAPE_METRICS)
# How many entities' labels a process keeps between scrapes, because entities rarely change: about 0.6 kB each.
_KEPT_ENTITIES = 100_000


@dataclass(frozen=True, slots=True)
class LabelRules:
    """A namespace's rules, with the namespace's properties that they can see."""

    rules: tuple[Rule, ...] = ()
    meta: tuple[tuple[str, str], ...] = ()  # namespace, host, team, sku, label_<name>, each with its value

    def constants(self, kind: str) -> Labels:
        """Return the labels that all entities of a kind offer to the rules."""
        return {
            PREFIX + "kind": kind,
            **{PREFIX + name: value for name, value in self.meta},
        }

    def label_names(self, kind: str) -> tuple[str, ...]:
        """Return the names of all labels that the rules can see of an entity."""
        return (
            *catalogue.ENTITY_LABELS[kind],
            *(PREFIX + name for name in _META[kind]),
            *self.constants(kind),
        )


def offered(kind: str, entity: Any, rules: LabelRules) -> Labels:
    """Return all labels that an entity offers to the rules."""
    own = {name: getattr(entity, name) for name in catalogue.ENTITY_LABELS[kind]}
    return {
        **own,
        **{PREFIX + name: said(read(entity)) for name, read in _META[kind].items()},
        **rules.constants(kind),
    }


def said(value: Any) -> str:
    """Return a value as a label shows it; empty if the service did not report it."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def shown(labels: Mapping[str, str]) -> Labels:
    """Return the labels that may appear in an exposition: without those that Prometheus reserves for itself."""
    return {name: labels[name] for name in _shown_of(tuple(labels))}


@lru_cache(maxsize=4096)
def _shown_of(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if not name.startswith("__") and is_label_name(name))


# Placeholders for the labels of an entity without any: the rules drop it, or it is above a limit.
DROPPED: Labels = {}
LIMITED: Labels = {}


class LabelBudget:
    """The CPU time and the bytes that labels may still take in this scrape."""

    def __init__(self) -> None:
        self._bytes = MAX_LABEL_BYTES
        self._until = time.thread_time() + MAX_RULE_SECONDS
        self._look_at = 0.0  # monotonic
        self._has_time = True

    def is_left(self, size: int = 0) -> bool:
        """Return whether there is time left, and room for `size` bytes."""
        # Reading a thread's CPU time takes a system call, reading the monotonic clock doesn't. One entity can take a
        # second.
        now = time.monotonic()
        if now >= self._look_at:
            self._has_time = time.thread_time() < self._until
            self._look_at = now + _LOOK_SECONDS
        return self._has_time and self._bytes >= size

    def takes(self, size: int) -> bool:
        """Count `size` bytes of output; return whether the total is within the limit."""
        self._bytes -= size
        return self._bytes >= 0


# A function that reads an entity's values, and one that makes its labels from them.
Inputs = tuple[Callable[[Any], tuple[Any, ...]], Callable[[tuple[Any, ...]], Labels]]


class Labeller:
    """Labels the entities of one kind, for each of its metrics."""

    def __init__(self, kind: str, entities: Sequence[Any], rules: LabelRules, allowance: LabelBudget) -> None:
        self.kind = kind
        self.entities = entities
        self._rules = rules
        self._allowance = allowance
        self._own = catalogue.ENTITY_LABELS[kind]
        self._names = rules.label_names(kind)
        extra = [
            name
            for metric in catalogue.ENTITY_METRICS
            if metric.kind == kind
            for name in metric.extra_label_names
        ]
        self._shared = shared_beginning(rules.rules, frozenset({NAME, *extra}), self._names)
        self._bases: dict[int, Work | None] = {}

    def plan(self, metric: EntityMetric) -> Plan:
        return plan(self._rules.rules, metric.name, metric.extra_label_names, self._names)

    def by_entity(self, rules: tuple[Rule, ...], metrics: int) -> list[Labels]:
        """Return the labels of each entity, or DROPPED or LIMITED; `metrics` is how many metrics write them."""
        if not rules:
            columns = [list(map(attrgetter(name), self.entities)) for name in self._own]
            size = sum(len("".join(column).encode(errors="replace")) for column in columns)
            if not self._allowance.takes(size * metrics):
                return [LIMITED] * len(self.entities)
            if len(columns) == 1:
                return [{self._own[0]: value} for value in columns[0]]
            first, second = self._own
            return [{first: one, second: other} for one, other in zip(*columns, strict=True)]
        values, labels_of = self._inputs(rules)
        compiled = program(rules, True)
        # The key includes the namespace's properties: namespaces can share rules, but not entities.
        key = (self._rules, self.kind, rules)
        read = list(map(values, self.entities))
        kept = _memory.take(key)
        made: list[Any] = list(map(kept.labels.get, read))
        if None in made:
            size = sum(map(_size, made))
            for index, labels in enumerate(made):
                if labels is None:
                    if not self._allowance.is_left(size * metrics):
                        break
                    made[index] = _entity(compiled, labels_of(read[index]))
                    size += _size(made[index])
            known: dict[Hashable, Labels] = {
                of_entity: labels for of_entity, labels in zip(read, made, strict=True) if labels is not None
            }
            kept = Kept(known, size)
            # If time ran out, the next scrape continues here. If the bytes ran out, all entities are above the limit.
            made = [LIMITED if labels is None else labels for labels in made]
        _memory.keep(key, kept)
        return made if self._allowance.takes(kept.size * metrics) else [LIMITED] * len(made)

    def by_series(
        self, metric: EntityMetric, entity: int, extra: Mapping[str, str]
    ) -> tuple[str, Labels] | None:
        """Return the name and the labels of one series; None if the rules drop it.

        Raises LabelLimitError if it is above a limit.
        """
        if not self._allowance.is_left():
            raise LabelLimitError
        base = self._base(entity)
        if base is None:
            return None
        compiled = program(self._rules.rules[self._shared :], True)
        work = compiled.begin({**base, NAME: metric.name, **present(extra)})
        if not compiled.process(work):
            return None
        name = work.get(NAME, "")
        # A series that has lost all labels, including its name, is dropped.
        if not name and all(label.startswith(PREFIX) for label in work):
            return None
        labels = _finished(work)
        if not self._allowance.takes(_size(labels)):
            raise LabelLimitError
        return (name if is_metric_name(name) and name not in _OWN_METRICS else metric.name), labels

    def _base(self, entity: int) -> Work | None:
        """Return the labels of all series of an entity after the rules that they share; None if it is dropped."""
        if entity not in self._bases:
            values, labels_of = self._all_inputs
            compiled = program(self._rules.rules[: self._shared], True)
            work = labels_of(values(self.entities[entity]))
            self._bases[entity] = work if compiled.process(work) else None
        return self._bases[entity]

    @cached_property
    def _all_inputs(self) -> Inputs:
        return self._inputs(self._rules.rules)

    def _inputs(self, rules: tuple[Rule, ...]) -> Inputs:
        """Return the functions that read an entity's values and make its labels, limited to what the rules read."""
        read = labels_read(rules, self._names)
        constants = {
            name: value for name, value in self._rules.constants(self.kind).items() if value and name in read
        }
        varying = [name for name in _META[self.kind] if PREFIX + name in read]
        names = (*self._own, *(PREFIX + name for name in varying))

        def labels(values: tuple[Any, ...]) -> Labels:
            found = constants.copy()
            for name, value in zip(names, values[1:], strict=True):
                text = value if type(value) is str else said(value)
                if text:
                    found[name] = text
            return found

        # "name" comes first so that there are two names or more: for one name, attrgetter returns no tuple.
        return attrgetter("name", *self._own, *varying), labels


def _entity(compiled: Program, labels: Labels) -> Labels:
    """Return the labels that all series of an entity have after the rules."""
    work = compiled.begin(labels)
    try:
        return _finished(work) if compiled.process(work) else DROPPED
    except LabelLimitError:
        return LIMITED


def _finished(work: Work) -> Labels:
    """Return the labels to show after the rules; raise LabelLimitError if they exceed a limit."""
    labels = shown(work)
    if len(labels) > MAX_LABELS_PER_SERIES:
        raise LabelLimitError
    if max(map(len, labels.values()), default=0) > MAX_LABEL_VALUE_CHARACTERS:
        raise LabelLimitError
    return labels


def _size(labels: Labels | None) -> int:
    """Return how many bytes the labels' values take in an exposition."""
    # A rule can produce a lone surrogate, which has no encoding.
    return len("".join(labels.values()).encode(errors="replace")) if labels else 0


class Kept(NamedTuple):
    """The labels of a namespace's entities of one kind after the rules, by the values that the rules saw."""

    labels: Mapping[Hashable, Labels]
    size: int  # of all entities together, in bytes


class _Memory:
    """A cache of entities' labels from the last scrapes."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Kept] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def take(self, key: Hashable) -> Kept:
        return self._kept.get(key, _NOTHING)

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()
            self._size = 0

    def keep(self, key: Hashable, kept: Kept) -> None:
        """Keep the labels of the last scrape; drop those of entities that no longer exist."""
        with self._lock:
            self._size += len(kept.labels) - len(self._kept.pop(key, _NOTHING).labels)
            self._kept[key] = kept
            while self._size > _KEPT_ENTITIES and self._kept:
                self._size -= len(self._kept.popitem(last=False)[1].labels)


_NOTHING = Kept({}, 0)
_memory = _Memory()


def forget() -> None:
    """Clear the cache of entities' labels, as in a new process."""
    _memory.clear()
