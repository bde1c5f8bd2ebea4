"""A prometheus_client Collector that is created for one scrape and discarded after it."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, cast

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from ..servicebus.entities import Counts, Snapshot
from . import metrics as catalogue
from .columns import ColumnFamily
from .labelling import DROPPED, LIMITED, LabelBudget, Labeller, LabelRules, Labels
from .metrics import DEFAULT_GROUPS, EntityMetric, ScrapeMetric
from .relabel import Rule
from .relabel_outcomes import LabelLimitError
from .rule_plan import Plan

_DROP_REASONS = ("filtered", "rule", "duplicate", "limit", "label_limit")
Identity = frozenset[tuple[str, str]]

# Placeholder for a part that was not requested.
_FAILED = object()

# Takes a third of the time of Sample's own constructor; a scrape can have 100,000 samples.
_make = tuple.__new__


class SnapshotCollector(Collector):
    """Yields the families of one snapshot, each once with all of its samples."""

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        groups: Collection[str] = DEFAULT_GROUPS,
        age_seconds: float = 0.0,
        rules: LabelRules | None = None,
        max_entities: int | None = None,
    ) -> None:
        self._max_entities = max_entities
        self._snapshot = snapshot
        self._groups = frozenset(groups) | {catalogue.MESSAGES, catalogue.SCRAPE}
        self._age_seconds = age_seconds
        self._rules = rules or LabelRules()

    def collect(self) -> Iterator[Metric]:
        entities = EntityFamilies(self._snapshot, self._groups, self._rules)
        yield from self._scrape()
        if catalogue.NAMESPACE in self._groups:
            yield from self._namespace(entities)
        yield from entities.families()

    def _scrape(self) -> Iterator[Metric]:
        snapshot = self._snapshot
        failures = snapshot.collectors
        up = bool(failures) and all(failure is None for failure in failures.values())
        yield _value(catalogue.UP, up)
        yield _value(catalogue.DURATION, snapshot.duration_seconds)
        yield _values(
            catalogue.COLLECTOR_SUCCESS,
            {collector: failure is None for collector, failure in failures.items()},
        )
        yield _value(catalogue.REQUESTS, snapshot.requests)
        yield _value(catalogue.THROTTLED_REQUESTS, snapshot.throttled_requests)
        yield _value(catalogue.AGE, self._age_seconds)
        if snapshot.queues or snapshot.topics or up:
            yield _value(catalogue.OLDEST, self._age_seconds + snapshot.began_at - snapshot.oldest_began_at)
        if snapshot.budget_requests_per_second is not None:
            yield _value(catalogue.BUDGET, snapshot.budget_requests_per_second)
        reasons = sorted({str(failure.reason) for failure in failures.values() if failure is not None})
        if reasons:
            yield _values(catalogue.ERROR, dict.fromkeys(reasons, 1))

    def _namespace(self, entities: "EntityFamilies") -> Iterator[Metric]:
        snapshot = self._snapshot
        if snapshot.info is not None and snapshot.info.sku:
            yield _values(catalogue.NAMESPACE_INFO, {snapshot.info.sku: 1})
        if snapshot.info is not None and snapshot.info.messaging_units is not None:
            yield _value(catalogue.MESSAGING_UNITS, snapshot.info.messaging_units)
        if self._max_entities is not None:
            yield _value(catalogue.ENTITIES_LIMIT, self._max_entities)
        shown = {
            "queues": (catalogue.QUEUE, entities.shown(catalogue.QUEUE)),
            "topics": (catalogue.TOPIC, entities.shown(catalogue.TOPIC)),
            "subscriptions": (catalogue.SUBSCRIPTION, entities.shown(catalogue.SUBSCRIPTION)),
        }
        # Kinds that were not read in full have no sample: their number would be too small.
        known = dict(
            pair for collector, pair in shown.items() if snapshot.collectors.get(collector, _FAILED) is None
        )
        if known:
            yield _values(catalogue.ENTITIES, known)
            yield _values(
                catalogue.ENTITIES_DROPPED,
                {
                    reason: snapshot.dropped.get(reason, 0) + entities.dropped[reason]
                    for reason in _DROP_REASONS
                },
            )


class EntityFamilies:
    """The families with a series for each entity, after the label rules.

    Rules can make series equal, within a metric and, by `__name__`, across metrics. Of equal series, the first is kept,
    as in Prometheus, and the entities of the others are counted.
    """

    def __init__(self, snapshot: Snapshot, groups: Collection[str], rules: LabelRules) -> None:
        self.dropped: Counter[str] = Counter()
        # By metric, if rules apply to each of its series: the names of these after the rules.
        self.names: dict[str, set[str]] = {}
        self._families: dict[str, Metric] = {}
        # By family, if series could be equal: the series that it already has.
        self._taken: dict[str, set[Identity]] = {}
        self._lost: dict[tuple[str, Identity], None] = {}  # in order, each once
        self._shown: dict[str, int] = {}
        entities: dict[str, Sequence[Any]] = {
            catalogue.QUEUE: snapshot.queues,
            catalogue.TOPIC: snapshot.topics,
            catalogue.SUBSCRIPTION: snapshot.subscriptions,
        }
        allowance = LabelBudget()
        kinds = [_Kind(kind, of_kind, rules, groups, allowance) for kind, of_kind in entities.items()]
        # If rules apply to each series, a series can have any name, and therefore equal one of any metric.
        can_collide = any(kind.can_collide for kind in kinds)
        for kind in kinds:
            for metric, plan in kind.plans:
                if plan.is_dropped:
                    kind.without.update(range(len(kind.entities)))
                    self.names[metric.name] = set()
                elif can_collide:
                    self._add_carefully(kind, metric, plan)
                else:
                    self._add(kind, metric)
            self._count(kind)

    def shown(self, kind: str) -> int:
        """Return how many entities of a kind have all series that the rules leave them."""
        return self._shown[kind]

    def collisions(self, at_most: int) -> list[tuple[str, Identity]]:
        """Return the first series that would occur more than once, as name and labels."""
        return list(islice(self._lost, at_most))

    def families(self) -> Iterator[Metric]:
        """Yield the families that have series."""
        yield from self._families.values()

    def _count(self, kind: "_Kind") -> None:
        without = kind.without - kind.with_series - kind.duplicates - kind.limited
        self.dropped["rule"] += len(without)
        self.dropped["duplicate"] += len(kind.duplicates)
        self.dropped["label_limit"] += len(kind.limited)
        self._shown[kind.name] = len(kind.entities) - len(without | kind.duplicates | kind.limited)

    def _family(self, name: str, metric: EntityMetric) -> Metric:
        family = self._families.get(name)
        if family is None:
            family = self._families[name] = GaugeMetricFamily(name, metric.help)
        return family

    def _add(self, kind: "_Kind", metric: EntityMetric) -> None:
        """Add a metric's series if no two can be equal."""
        labels, sources = kind.counted if metric.of_counts else kind.labelled
        if metric.extra_labels is not None:
            extra = list(map(metric.extra_labels, sources))
            sources = [source for source, more in zip(sources, extra, strict=True) if more is not None]
            labels = [{**own, **more} for own, more in zip(labels, extra, strict=True) if more is not None]
        values = list(map(metric.read, sources))
        if None in values:
            labels = [own for own, value in zip(labels, values, strict=True) if value is not None]
            values = [value for value in values if value is not None]
        if values:
            self._families[metric.name] = ColumnFamily(metric.name, metric.help, labels, values)

    def _add_carefully(self, kind: "_Kind", metric: EntityMetric, plan: Plan) -> None:
        """Add a metric's series if some may be equal to others; equal ones are dropped."""
        name = metric.name
        for index, entity in enumerate(kind.entities):
            source = entity.counts if metric.of_counts else entity
            value = None if source is None else metric.read(source)
            extra = {} if metric.extra_labels is None else metric.extra_labels(entity)
            if value is None or extra is None:
                continue
            if plan.for_each_series:
                names = self.names.setdefault(metric.name, set())
                try:
                    series = kind.labeller.by_series(metric, index, extra)
                except LabelLimitError:
                    kind.limited.add(index)
                    continue
                if series is None:
                    kind.without.add(index)
                    continue
                name, labels = series
                kind.with_series.add(index)
                names.add(name)
            else:
                of_entity = kind.labels[index]
                if of_entity is None:
                    continue
                labels = {**of_entity, **extra} if extra else of_entity
            taken = self._taken.setdefault(name, set())
            identity = frozenset([item for item in labels.items() if item[1]])
            if identity in taken:
                kind.duplicates.add(index)
                self._lost[name, identity] = None
                continue
            taken.add(identity)
            self._family(name, metric).samples.append(_make(Sample, (name, labels, value, None, None, None)))


class _Kind:
    """The entities of one kind, with their labels; the sets hold entities by their index."""

    def __init__(
        self,
        name: str,
        entities: Sequence[Any],
        rules: LabelRules,
        groups: Collection[str],
        allowance: LabelBudget,
    ) -> None:
        self.name = name
        self.entities = entities
        self.labeller = Labeller(name, entities, rules, allowance)
        self.plans = [
            (metric, self.labeller.plan(metric))
            for metric in catalogue.ENTITY_METRICS
            if metric.kind == name and metric.group in groups
        ]
        self.without: set[int] = set()  # rules dropped a series
        self.with_series: set[int] = set()
        self.duplicates: set[int] = set()
        self.limited: set[int] = set()
        self.labels: list[Labels | None] = []
        self.can_collide = any(plan.for_each_series for _, plan in self.plans)
        by_entity = [plan for _, plan in self.plans if not (plan.for_each_series or plan.is_dropped)]
        if by_entity:
            self._label(by_entity[0].rules, len(by_entity))

    @cached_property
    def labelled(self) -> tuple[list[Labels], Sequence[Any]]:
        """Return the labels of the entities that have any, and these entities."""
        if None not in self.labels:
            return cast("list[Labels]", self.labels), self.entities
        kept = [index for index, labels in enumerate(self.labels) if labels is not None]
        return [self.labels[index] for index in kept], [self.entities[index] for index in kept]  # type: ignore[misc]

    @cached_property
    def counted(self) -> tuple[list[Labels], list[Counts]]:
        """Return the labels of the entities that have labels and counts, and their counts."""
        labels, entities = self.labelled
        counts = [entity.counts for entity in entities]
        if None in counts:
            labels = [own for own, of in zip(labels, counts, strict=True) if of is not None]
            counts = [of for of in counts if of is not None]
        return labels, counts

    def _label(self, rules: tuple[Rule, ...], metrics: int) -> None:
        """Label the entities for those metrics whose series share an entity's labels; these have the same rules."""
        made = self.labeller.by_entity(rules, metrics)
        self.limited.update([index for index, labels in enumerate(made) if labels is LIMITED])
        self.without.update([index for index, labels in enumerate(made) if labels is DROPPED])
        self.with_series.update(range(len(made)))
        if self.limited or self.without:
            self.with_series -= self.limited | self.without
            self.labels = [labels if index in self.with_series else None for index, labels in enumerate(made)]
        else:
            self.labels = list(made)
        # Entities that still differ in their identifying labels can't have equal series.
        left = [labels for labels in self.labels if labels is not None]
        own = [[labels.get(name) for labels in left] for name in catalogue.ENTITY_LABELS[self.name]]
        told_apart = set(own[0]) if len(own) == 1 else set(zip(*own, strict=True))
        self.can_collide |= len(told_apart) < len(left)


def _value(metric: ScrapeMetric, value: float) -> Metric:
    return GaugeMetricFamily(metric.name, metric.help, value=float(value))


def _values(metric: ScrapeMetric, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for label, value in values.items():
        family.add_metric([label], float(value))
    return family
