"""Preview what a list of label rules would do to a snapshot, per entity and per rule."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..prometheus import labelling
from ..prometheus import metrics as catalogue
from ..prometheus.collector import EntityFamilies
from ..prometheus.labelling import LabelBudget, LabelRules, Labels
from ..prometheus.metrics import EntityMetric
from ..prometheus.relabel import DECIDING, Rule
from ..prometheus.relabel_actions import Program, Work, present, process, program
from ..prometheus.relabel_outcomes import LabelLimitError
from ..prometheus.rule_plan import NAME, plan
from ..servicebus.entities import Snapshot

# Limits for the lists shown; counts cover everything.
MOST_ENTITIES = 200
MOST_EXAMPLES = 20
MOST_NAMES = 3  # new names shown per metric

Identity = tuple[str, frozenset[tuple[str, str]]]


@dataclass(slots=True)
class Effect:
    """What one rule did."""

    name: str
    rule: Rule
    matched: int = 0  # entities that it matched
    changed: int = 0  # entities on which it set or removed a label
    dropped: int = 0
    limited: int = 0  # of those: because a label exceeded a limit
    overwritten: dict[str, int] = field(default_factory=dict)  # an entity's own label -> entities

    @property
    def matches_nothing(self) -> bool:
        return not self.matched and not self.dropped


@dataclass(frozen=True, slots=True)
class Change:
    """One label, set or removed by one rule."""

    label: str
    before: str
    after: str
    rule: str  # the rule's name


@dataclass(slots=True)
class Entity:
    kind: str
    before: Labels
    after: Labels | None  # None: dropped
    changes: Sequence[Change] = ()
    dropped_by: str = ""

    @property
    def is_changed(self) -> bool:
        return self.after != self.before


@dataclass(frozen=True, slots=True)
class Moved:
    """A series that continues with other labels: in Prometheus it ends, and a new one starts."""

    before: str
    after: str


@dataclass(slots=True)
class Preview:
    effects: list[Effect]
    entities: list[Entity]  # those to show
    entity_count: int = 0
    is_cut: bool = False  # processing all entities would have taken too long
    found_count: int = 0  # that match the search
    changed_count: int = 0
    dropped_count: int = 0
    series_without_rules: int = 0
    series_now: int = 0  # with the stored rules
    series_after: int = 0
    duplicates: int = 0  # entities that lose a series because it became equal to another
    collisions: list[str] = field(default_factory=list)
    ended: int = 0  # current series that would end
    begun: int = 0
    moved: list[Moved] = field(default_factory=list)
    metrics: list[str] = field(default_factory=list)  # what happens to individual metrics


def preview(
    snapshot: Snapshot,
    groups: frozenset[str],
    stored: LabelRules,
    tried: LabelRules,
    names: Sequence[str],
    *,
    search: str = "",
    only_changed: bool = False,
) -> Preview:
    """Return the effect of the tried rules on a snapshot, and the difference from the stored rules.

    `names` are the names of the tried rules.
    """
    # Compiled one by one, to see what each of them does.
    rules = [program((rule,), True) for rule in tried.rules]
    made = Preview(list(map(Effect, names, tried.rules)), [])
    wanted = search.strip().lower()
    allowance = LabelBudget()
    for kind, entities in _kinds(snapshot):
        metric = _representative(kind, tried)
        for each in entities:
            if not allowance.is_left():
                made.is_cut = True
                break
            entity = _follow(kind, metric, each, tried, rules, made.effects)
            made.entity_count += 1
            made.changed_count += entity.is_changed
            made.dropped_count += entity.after is None
            if (only_changed and not entity.is_changed) or not _fits(entity, wanted):
                continue
            made.found_count += 1
            if len(made.entities) < MOST_ENTITIES:
                made.entities.append(entity)
    _count_series(made, snapshot, groups | {catalogue.MESSAGES}, stored, tried)
    return made


def _kinds(snapshot: Snapshot) -> Iterator[tuple[str, Sequence[Any]]]:
    yield catalogue.QUEUE, snapshot.queues
    yield catalogue.TOPIC, snapshot.topics
    yield catalogue.SUBSCRIPTION, snapshot.subscriptions


def _representative(kind: str, rules: LabelRules) -> EntityMetric:
    """Return the metric that represents an entity: the first that the rules don't drop."""
    metrics = [metric for metric in catalogue.ENTITY_METRICS if metric.kind == kind]
    names = rules.label_names(kind)
    left = (
        metric
        for metric in metrics
        if not plan(rules.rules, metric.name, metric.extra_label_names, names).is_dropped
    )
    return next(left, metrics[0])


def _follow(
    kind: str,
    metric: EntityMetric,
    entity: Any,
    rules: LabelRules,
    compiled: Sequence[Program],
    effects: Sequence[Effect],
) -> Entity:
    offered = labelling.offered(kind, entity, rules)
    own = labelling.shown(offered)
    work = program(rules.rules, True).begin(present({**offered, NAME: metric.name}))
    changes: list[Change] = []
    for one, effect in zip(compiled, effects, strict=True):
        effect.matched += _matches(one, work)
        before = None if effect.rule.action in DECIDING else dict(work)
        try:
            kept = one.process(work)
        except LabelLimitError:
            kept = False
            effect.limited += 1
        if not kept:
            effect.dropped += 1
            return Entity(kind, own, None, changes, effect.name)
        if before is None or work == before:
            continue
        effect.changed += 1
        for label in sorted({*before, *work}):
            old, new = before.get(label, ""), work.get(label, "")
            if old != new:
                changes.append(Change(label, old, new, effect.name))
                if label in own:
                    effect.overwritten[label] = effect.overwritten.get(label, 0) + 1
    return Entity(kind, own, labelling.shown(work), changes)


def _matches(one: Program, work: Work) -> bool:
    try:
        return one.steps[0].matches(work)
    except Exception:  # `process` reports it
        return False


def _fits(entity: Entity, wanted: str) -> bool:
    return not wanted or any(
        wanted in value.lower() for labels in (entity.before, entity.after or {}) for value in labels.values()
    )


def _count_series(
    made: Preview, snapshot: Snapshot, groups: frozenset[str], stored: LabelRules, tried: LabelRules
) -> None:
    plain = EntityFamilies(snapshot, groups, LabelRules())
    made.series_without_rules = sum(len(family.samples) for family in plain.families())
    now, after = EntityFamilies(snapshot, groups, stored), EntityFamilies(snapshot, groups, tried)
    made.duplicates = after.dropped["duplicate"]
    made.collisions = [text(*identity) for identity in after.collisions(MOST_EXAMPLES)]
    made.metrics = list(_metrics(after))
    series_now, series_after = _identities(now), _identities(after)
    made.series_now, made.series_after = len(series_now), len(series_after)
    if stored != tried:
        ended, begun = series_now - series_after, series_after - series_now
        made.ended, made.begun = len(ended), len(begun)
        made.moved = list(_moved(snapshot, stored, tried))


def _identities(families: EntityFamilies) -> set[Identity]:
    # Keyed by address: an entity's series share one dict of labels, which `families` keeps alive.
    frozen: dict[int, frozenset[tuple[str, str]]] = {}
    found = set()
    for family in families.families():
        for sample in family.samples:
            labels = sample.labels
            identity = frozen.get(id(labels))
            if identity is None:
                identity = frozen[id(labels)] = frozenset(item for item in labels.items() if item[1])
            found.add((sample.name, identity))
    return found


def _moved(snapshot: Snapshot, stored: LabelRules, tried: LabelRules) -> Iterator[Moved]:
    """Yield examples, at most one per entity."""
    found = 0
    allowance = LabelBudget()
    for kind, entities in _kinds(snapshot):
        metric = _representative(kind, tried)
        for entity in entities:
            if not allowance.is_left():
                return
            offered = {**labelling.offered(kind, entity, tried), NAME: metric.name}
            old, new = _after(stored, offered), _after(tried, offered)
            if old is None or new is None or old == new:
                continue
            before, after = text(metric.name, labelling.shown(old)), text(metric.name, labelling.shown(new))
            if before != after:
                yield Moved(before, after)
                found += 1
                if found == MOST_EXAMPLES:
                    return


def _after(rules: LabelRules, offered: Labels) -> Labels | None:
    try:
        return process(offered, rules.rules, legacy_names=True)
    except LabelLimitError:
        return None


def _metrics(families: EntityFamilies) -> Iterator[str]:
    for name, names in families.names.items():
        if not names:
            yield f"{name} is dropped"
        elif names != {name}:
            more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
            yield f"{name} becomes {', '.join(sorted(names)[:MOST_NAMES])}{more}"


def text(name: str, labels: Mapping[str, str] | frozenset[tuple[str, str]]) -> str:
    """Return a series in PromQL's notation."""
    items = sorted(labels.items() if isinstance(labels, Mapping) else labels)
    return name + "{" + ", ".join(f'{label}="{value}"' for label, value in items) + "}"
