"""Label rules applied to what was read: which labels the series of each entity have."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any

from . import catalogue
from .catalogue import EntityMetric
from .relabel import DECIDING, Rule, is_label_name, is_metric_name
from .relabel_actions import present, program
from .rule_plan import NAME, Plan, labels_read, plan, writes

Labels = dict[str, str]
PREFIX = "__meta_servicebus_"
# What rules can see of an entity beside its own labels, by kind.
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
_OWN = {
    catalogue.QUEUE: ("name",),
    catalogue.TOPIC: ("name",),
    catalogue.SUBSCRIPTION: ("name", "topic_name"),
}
# Entities whose labels a process keeps from scrape to scrape, as entities hardly change: about 0.6 kB each.
_KEPT_ENTITIES = 100_000
_NEW: Any = object()

Key = tuple[Any, ...]
Kept = dict[tuple[Any, ...], Labels | None]


@dataclass(frozen=True, slots=True)
class LabelRules:
    """A namespace's rules, with what they can see of the namespace."""

    rules: tuple[Rule, ...] = ()
    meta: tuple[tuple[str, str], ...] = ()  # namespace, host, team, sku, label_<name>, each with its value

    def constants(self, kind: str) -> dict[str, str]:
        """Return the labels that all entities of a kind offer to the rules."""
        return {
            PREFIX + "kind": kind,
            **{PREFIX + name: value for name, value in self.meta},
        }

    def label_names(self, kind: str) -> tuple[str, ...]:
        """Return the names of all labels that the rules can see of an entity."""
        return (*_OWN[kind], *(PREFIX + name for name in _META[kind]), *self.constants(kind))


def offered(kind: str, entity: Any, rules: LabelRules) -> Labels:
    """Return all labels that an entity offers to the rules."""
    own = {name: getattr(entity, name) for name in _OWN[kind]}
    return {
        **own,
        **{PREFIX + name: said(read(entity)) for name, read in _META[kind].items()},
        **rules.constants(kind),
    }


def said(value: Any) -> str:
    """Return a value as a label shows it; what the service did not say is empty."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def shown(labels: Mapping[str, str]) -> Labels:
    """Return the labels that may stand in an exposition: without those that Prometheus keeps for itself."""
    return {name: labels[name] for name in _shown_of(tuple(labels))}


@lru_cache(maxsize=4096)
def _shown_of(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if not name.startswith("__") and is_label_name(name))


@dataclass(slots=True)
class Series:
    """The labels of a metric's series, for one entity after the other; None where the rules dropped it."""

    labels: Sequence[Labels | None]
    names: Sequence[str] | None = None  # the metric's name for each of them; None: the plan's
    can_collide: bool = False  # two of them may have the same labels


class Labeller:
    """Labels the entities of one kind, for each of its metrics."""

    def __init__(self, kind: str, entities: Sequence[Any], rules: LabelRules) -> None:
        self.kind = kind
        self.entities = entities
        self._rules = rules
        self._names = rules.label_names(kind)
        self._half_way: dict[Key, tuple[Sequence[Labels | None], Sequence[Labels | None]]] = {}
        self._plain: dict[tuple[tuple[Rule, ...], bool], Series] = {}

    def plan(self, metric: EntityMetric) -> Plan:
        return plan(self._rules.rules, metric.name, metric.extra_label_names, self._names)

    def label(self, metric: EntityMetric, of: Plan) -> Series:
        """Return the labels of a metric's series, without the metric's extra ones where the plan needs none."""
        if of.dropped:
            return Series([None] * len(self.entities))
        # Entities of one kind differ in these, so their series do.
        own = _OWN[self.kind]
        rules = (*of.rules, *of.series_rules)
        can_collide = any(writes(rules, name, self._names) for name in own) or not of.name
        if of.for_each_series:
            return self._each(metric, of, can_collide)
        key = (of.rules, bool(of.name))
        if key not in self._plain:
            if of.rules:
                labels = self._once(of)
            else:
                labels = [{name: getattr(entity, name) for name in own} for entity in self.entities]
            self._plain[key] = Series(labels, None, can_collide)
        return self._plain[key]

    def _once(self, of: Plan) -> Sequence[Labels | None]:
        """Label the entities for all metrics that the rules don't tell apart."""
        values, labels_of = self._inputs(of.rules)
        # Namespaces that share their rules have entities of their own.
        key = (self._rules, self.kind, of.rules, not of.name)
        read = list(map(values, self.entities))
        kept = _memory.take(key)
        labels = [kept.get(of_entity, _NEW) for of_entity in read]
        new = [index for index, made in enumerate(labels) if made is _NEW]
        processed = program(of.rules, True).process_all([labels_of(read[index]) for index in new])
        for index, made in zip(new, processed, strict=True):
            labels[index] = _finish(made, not of.name)
        _memory.keep(key, dict(zip(read, labels, strict=True)))
        return labels

    def _each(self, metric: EntityMetric, of: Plan, can_collide: bool) -> Series:
        """Label the entities for one metric that the rules tell from others."""
        # Where they keep or drop a series as it is, its labels are the entity's, and are written once for all.
        only_decide = all(rule.action in DECIDING for rule in of.series_rules)
        half_way, finished = self._before(of)
        extra = metric.extra_labels or (lambda entity: {})
        left: list[int] = []
        series = []
        for index, (entity, before) in enumerate(zip(self.entities, half_way, strict=True)):
            if before is not None:
                left.append(index)
                series.append(present({**before, NAME: of.name, **(extra(entity) or {})}))
        labels: list[Labels | None] = [None] * len(half_way)
        names = [metric.name] * len(half_way)
        processed = program(of.series_rules, True).process_all(series)
        for index, made in zip(left, processed, strict=True):
            if made is None:
                continue
            if only_decide:
                labels[index] = finished[index]
                continue
            name = made.get(NAME, "")
            if is_metric_name(name):
                names[index] = name
            labels[index] = _finish(made, not name)
        return Series(labels, None if only_decide else names, can_collide)

    def _before(self, of: Plan) -> tuple[Sequence[Labels | None], Sequence[Labels | None]]:
        """Return what the rules for the entity leave to those for each of its series, and how that would be shown."""
        key = (of.rules, of.series_rules, bool(of.name))
        if key not in self._half_way:
            values, labels_of = self._inputs((*of.rules, *of.series_rules))
            works = [labels_of(values(entity)) for entity in self.entities]
            half_way = program(of.rules, True).process_all(works)
            finished = [_finish(labels, not of.name) for labels in half_way]
            self._half_way[key] = (half_way, finished)
        return self._half_way[key]

    def _inputs(
        self, rules: tuple[Rule, ...]
    ) -> tuple[Callable[[Any], tuple[Any, ...]], Callable[[tuple[Any, ...]], Labels]]:
        """Return how an entity's values are read, and how its labels are made of them; no more than the rules see."""
        own = _OWN[self.kind]
        read = labels_read(rules, self._names)
        constants = {
            name: value for name, value in self._rules.constants(self.kind).items() if value and name in read
        }
        varying = [name for name in _META[self.kind] if PREFIX + name in read]
        names = (*own, *(PREFIX + name for name in varying))

        def labels(values: tuple[Any, ...]) -> Labels:
            said_values = zip(names, map(said, values[1:]), strict=True)
            return {**constants, **{name: value for name, value in said_values if value}}

        # Of one name, attrgetter would return the value and not a tuple of it.
        return attrgetter("name", *own, *varying), labels


def _finish(labels: Labels | None, nameless: bool) -> Labels | None:
    """Return what is shown. A series that has lost all its labels, its name among them, is dropped."""
    if labels is None:
        return None
    if nameless and not any(not name.startswith(PREFIX) for name in labels):
        return None
    return shown(labels)


class _Memory:
    """What rules made of entities in the last scrapes."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Key, Kept] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def take(self, key: Key) -> Kept:
        return self._kept.get(key, {})

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()
            self._size = 0

    def keep(self, key: Key, kept: Kept) -> None:
        """Keep what the last scrape made, and nothing of entities that are gone."""
        with self._lock:
            self._size += len(kept) - len(self._kept.pop(key, {}))
            self._kept[key] = kept
            while self._size > _KEPT_ENTITIES and self._kept:
                self._size -= len(self._kept.popitem(last=False)[1])


_memory = _Memory()


def forget() -> None:
    """Forget what rules made of entities, as a process that has just begun."""
    _memory.clear()
