"""A prometheus_client Collector made for one scrape and thrown away with it."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from ..servicebus.entities import Snapshot
from . import catalogue
from .catalogue import DEFAULT_GROUPS, EntityMetric, ScrapeMetric
from .labelling import Labeller, LabelRules, Labels, Series
from .relabel import is_metric_name
from .rule_plan import Plan

_DROP_REASONS = ("filtered", "rule", "duplicate", "limit")

# Stands for a part that was not asked for.
_FAILED = object()

# A third of the time that Sample's own constructor takes, for 100,000 samples a scrape.
_make = tuple.__new__


class SnapshotCollector(Collector):
    """Yields the families of one snapshot.

    Each family is yielded once with all of its samples. An entity's labels are one dict, shared by all its samples:
    that is what makes rendering fast.
    """

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
        own = list(self._scrape())
        if catalogue.NAMESPACE in self._groups:
            own += self._namespace(entities)
        for family in own:
            entities.join(family)
            yield family
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
        # What was not read whole is not known: a number would be too small, and 0 a lie.
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
    """The families with a series for each entity, as the label rules leave them.

    Rules can make series equal, within a metric and, by `__name__`, across metrics. Of equal ones the first stays, as
    Prometheus would have it, and the entities of the others are counted.
    """

    def __init__(self, snapshot: Snapshot, groups: Collection[str], rules: LabelRules) -> None:
        self.dropped: Counter[str] = Counter()
        self._families: dict[str, Metric] = {}
        # By family, where series could be equal: what is in it already.
        self._taken: dict[str, set[frozenset[tuple[str, str]]]] = {}
        self._shown: dict[str, int] = {}
        self._lost: dict[tuple[str, frozenset[tuple[str, str]]], None] = {}  # in their order, each once
        entities: dict[str, Sequence[Any]] = {
            catalogue.QUEUE: snapshot.queues,
            catalogue.TOPIC: snapshot.topics,
            catalogue.SUBSCRIPTION: snapshot.subscriptions,
        }
        labellers = {kind: Labeller(kind, of_kind, rules) for kind, of_kind in entities.items()}
        planned = [
            (metric, labellers[metric.kind].plan(metric))
            for metric in catalogue.ENTITY_METRICS
            if metric.group in groups
        ]
        names = Counter(_name(metric, plan) for metric, plan in planned)
        # A rule that names series one by one can give any of them any name.
        anywhere = any(plan.renames for _, plan in planned)
        for kind, labeller in labellers.items():
            self._fill(labeller, [pair for pair in planned if pair[0].kind == kind], names, anywhere)

    def shown(self, kind: str) -> int:
        """Return how many entities of a kind have all the series that the rules leave to them."""
        return self._shown[kind]

    def collisions(self, at_most: int) -> list[tuple[str, frozenset[tuple[str, str]]]]:
        """Return the first series that there would be more than once, as name and labels."""
        return list(islice(self._lost, at_most))

    def join(self, family: Metric) -> None:
        """Add to a family of the scrape what rules have given its name; there is one family of a name."""
        renamed = self._families.pop(family.name, None)
        if renamed is not None:
            taken = {frozenset(sample.labels.items()) for sample in family.samples}
            family.samples += [
                sample for sample in renamed.samples if frozenset(sample.labels.items()) not in taken
            ]

    def families(self) -> Iterator[Metric]:
        """Yield what `join` has left."""
        for family in self._families.values():
            if family.samples:
                yield family

    def _fill(
        self,
        labeller: Labeller,
        planned: Sequence[tuple[EntityMetric, Plan]],
        names: Mapping[str, int],
        anywhere: bool,
    ) -> None:
        duplicates: set[int] = set()
        # By the labels' address, as most metrics share them.
        kept: dict[int, Sequence[Labels | None]] = {}
        for metric, plan in planned:
            series = labeller.label(metric, plan)
            kept[id(series.labels)] = series.labels
            name = _name(metric, plan)
            if anywhere or series.can_collide or names[name] > 1:
                self._add_carefully(metric, name, labeller.entities, series, duplicates)
            else:
                self._add(metric, name, labeller.entities, series)
        left = [any(labels is not None for labels in each) for each in zip(*kept.values(), strict=True)]
        self.dropped["rule"] += left.count(False)
        self.dropped["duplicate"] += len(duplicates)
        self._shown[labeller.kind] = left.count(True) - len(duplicates)

    def _family(self, name: str, metric: EntityMetric) -> Metric:
        family = self._families.get(name)
        if family is None:
            family = self._families[name] = GaugeMetricFamily(name, metric.help)
        return family

    def _add(self, metric: EntityMetric, name: str, entities: Sequence[Any], series: Series) -> None:
        read, extra, labelled = metric.read, metric.extra_labels, series.labels
        append = self._family(name, metric).samples.append
        if extra is not None:
            for labels, entity in zip(labelled, entities, strict=True):
                more = extra(entity)
                if labels is not None and more is not None:
                    # Rules that saw the extra labels have had their say about them.
                    all_labels = {**labels, **more} if series.names is None else labels
                    append(_make(Sample, (name, all_labels, read(entity), None, None, None)))
        elif metric.of_counts:
            for labels, entity in zip(labelled, entities, strict=True):
                counts = entity.counts
                if labels is not None and counts is not None:
                    append(_make(Sample, (name, labels, read(counts), None, None, None)))
        else:
            for labels, entity in zip(labelled, entities, strict=True):
                value = read(entity)
                if labels is not None and value is not None:
                    append(_make(Sample, (name, labels, value, None, None, None)))

    def _add_carefully(
        self,
        metric: EntityMetric,
        name: str,
        entities: Sequence[Any],
        series: Series,
        duplicates: set[int],
    ) -> None:
        """Add series of which some may be equal to others."""
        for index, (labels, entity) in enumerate(zip(series.labels, entities, strict=True)):
            if labels is None:
                continue
            if metric.extra_labels is not None:
                more = metric.extra_labels(entity)
                if more is None:
                    continue
                if series.names is None:
                    labels = {**labels, **more}
            source = entity.counts if metric.of_counts else entity
            value = None if source is None else metric.read(source)
            if value is None:
                continue
            its_name = name if series.names is None else series.names[index]
            taken = self._taken.setdefault(its_name, set())
            identity = frozenset(item for item in labels.items() if item[1])
            if identity in taken:
                duplicates.add(index)
                self._lost[its_name, identity] = None
                continue
            taken.add(identity)
            sample = _make(Sample, (its_name, labels, value, None, None, None))
            self._family(its_name, metric).samples.append(sample)


def _name(metric: EntityMetric, plan: Plan) -> str:
    """Return the metric's name; one that Prometheus would not read is not taken from a rule."""
    return plan.name if is_metric_name(plan.name) else metric.name


def _value(metric: ScrapeMetric, value: float) -> Metric:
    return GaugeMetricFamily(metric.name, metric.help, value=float(value))


def _values(metric: ScrapeMetric, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for label, value in values.items():
        family.add_metric([label], float(value))
    return family
