"""Which label rules apply to a namespace, in which order, and which metadata they can use."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from django.db.models import Q

from ..models import LabelRule, Namespace
from ..prometheus.labelling import LabelRules
from ..prometheus.relabel import Rule, problems
from ..servicebus.entities import Snapshot

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from .targets import Target

logger = logging.getLogger(__name__)

# Primary keys of a team and a namespace: both None for the hub's rules, namespace None for a team's.
RuleScope = tuple[int | None, int | None]
RulesByScope = Mapping[RuleScope, Sequence[LabelRule]]
UsableRules = Mapping[RuleScope, tuple[Rule, ...]]


def rules_by_scope(stored: "QuerySet[LabelRule] | None" = None) -> RulesByScope:
    """Return the stored rules by scope, each scope in its order; all rules unless `stored` limits them."""
    scopes: dict[RuleScope, list[LabelRule]] = {}
    for rule in (LabelRule.objects.all() if stored is None else stored).order_by("position", "pk"):
        scopes.setdefault((rule.team_id, rule.namespace_id), []).append(rule)
    return scopes


def applying_to(teams: Iterable[int | None], namespaces: Iterable[int | None]) -> "QuerySet[LabelRule]":
    """Return the rules that can apply to these namespaces (primary keys of the namespaces and their teams)."""
    return LabelRule.objects.filter(
        Q(team=None, namespace=None)
        | Q(team__in=[pk for pk in teams if pk is not None], namespace=None)
        | Q(namespace__in=[pk for pk in namespaces if pk is not None])
    )


def usable_rules(stored: "QuerySet[LabelRule] | None" = None) -> UsableRules:
    """Return the usable rules of each scope; namespaces share them."""
    return {scope: usable(rules) for scope, rules in rules_by_scope(stored).items()}


def rules_of(namespace: Namespace, rules: UsableRules) -> tuple[Rule, ...]:
    """Return the namespace's rules in the order they apply: the hub's, the team's, its own."""
    team, own = namespace.team_id, namespace.pk
    found = rules.get((None, None), ())
    if team is not None:
        found += rules.get((team, None), ())
    if own is not None:
        found += rules.get((team, own), ())
    return found


def usable(rules: Iterable[LabelRule]) -> tuple[Rule, ...]:
    """Return the usable rules.

    Validation rejects unusable rules, but a later RE2 may no longer support a stored pattern, and one rule must not end
    a namespace's scrapes.
    """
    found = []
    for stored in rules:
        rule = stored.rule()
        wrong = _problems(rule)
        if wrong:
            logger.error(
                "Skipping label rule %s of %s: %s", stored.pk, stored.scope, " ".join(wrong.values())
            )
        else:
            found.append(rule)
    return tuple(found)


@lru_cache(maxsize=4096)
def _problems(rule: Rule) -> dict[str, str]:
    return problems(rule, legacy_names=True)


def label_rules(target: "Target", snapshot: Snapshot) -> LabelRules:
    """Return a namespace's rules along with the metadata that they can use."""
    if not target.rules:
        return LabelRules()
    sku = snapshot.info.sku if snapshot.info is not None else None
    meta = {
        "namespace": target.name,
        "host": target.endpoint.host
        if target.endpoint is not None
        else target.host.partition(":")[0].lower(),
        "team": target.team,
        "sku": sku or "",
        **{f"label_{name}": value for name, value in target.labels},
    }
    return LabelRules(target.rules, tuple(meta.items()))
