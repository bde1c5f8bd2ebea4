"""The stored configuration, read once: a file is compared with it in memory before anything is written."""

from collections.abc import Iterable
from typing import Any

from django.db.models import Model

from ..models import (
    ConfigurationVersion,
    Credential,
    IdentityGrant,
    LabelRule,
    Namespace,
    ScrapeToken,
    Source,
    Team,
)
from .schema import KINDS

# Two teams may use the same name.
NAMED_IN_A_TEAM = (Credential, ScrapeToken)
# Updated by scrapes, and not part of the configuration.
_TRACKED = {"last_used_at", "last_used_address", "spare_used_at"}
_RELATED = ("team", "namespace", "credential")


class Stored:
    """All objects that hub.yaml can describe: as stored and, after `add`, as the file wants them.

    An object refers to others by shared instances, so that all see what the file changes in one of them. A new object
    has a negative primary key until it is written.
    """

    def __init__(self) -> None:
        # Read first, so that any later change makes this number outdated.
        self.version = ConfigurationVersion.read()
        self._objects: dict[type[Model], dict[int, Any]] = {
            kind.model: {item.pk: item for item in kind.model._default_manager.order_by("pk")}
            for kind in KINDS
        }
        self._numbers = 0
        for item in self._all():
            relate(item, self._objects)
        self._grants()
        self._namespaces_of_tokens()
        self._by_name: dict[tuple[type[Model], str, str], Any] = {}
        self._rules: dict[tuple[int | None, int | None], list[LabelRule]] = {}
        for item in self._all():
            self._enter(item)

    def _all(self) -> Iterable[Any]:
        return (item for objects in self._objects.values() for item in objects.values())

    def _enter(self, item: Any) -> None:
        if isinstance(item, LabelRule):
            self._rules.setdefault(_scope(item.team, item.namespace), []).append(item)
        else:
            team = item.team.name if isinstance(item, NAMED_IN_A_TEAM) and item.team is not None else ""
            self._by_name[type(item), team, item.name] = item

    def _grants(self) -> None:
        granted: dict[int, list[IdentityGrant]] = {}
        for grant in IdentityGrant.objects.all():
            relate(grant, self._objects)
            granted.setdefault(grant.credential_id, []).append(grant)
        for credential in self._objects[Credential].values():
            remember(credential, "grants", granted.get(credential.pk, []))

    def _namespaces_of_tokens(self) -> None:
        listed: dict[int, list[Namespace]] = {}
        rows = ScrapeToken.namespaces.through._default_manager.values_list("scrapetoken_id", "namespace_id")
        for token, namespace in rows:
            if namespace in self._objects[Namespace]:  # otherwise created after the namespaces were read
                listed.setdefault(token, []).append(self._objects[Namespace][namespace])
        for token in self._objects[ScrapeToken].values():
            remember(token, "namespaces", listed.get(token.pk, []))

    def add(self, item: Any) -> None:
        """Add a new object."""
        self._numbers -= 1
        item.pk = self._numbers
        self._objects[type(item)][item.pk] = item
        self._enter(item)

    def remove(self, item: Any) -> None:
        """Remove an object that will be deleted."""
        del self._objects[type(item)][item.pk]

    def named(self, model: type[Model], name: str, team: str = "") -> Any:
        """Return the object with this name, or None; credentials and tokens are looked up by team's name, too."""
        return self._by_name.get((model, team, name))

    def names(self, model: type[Model]) -> list[str]:
        return sorted({item.name for item in self._objects[model].values()})

    def rules(self, team: Team | None, namespace: Namespace | None) -> list[LabelRule]:
        """Return the rules of a scope in order."""
        found = self._rules.get(_scope(team, namespace), [])
        for rule in found:
            rule.team = team  # rules follow their namespace to another team
        return sorted(found, key=lambda rule: (rule.position, rule.pk))

    def token_with(self, token_hash: str, but: ScrapeToken) -> ScrapeToken | None:
        """Return another token with this hash."""
        tokens = self._objects[ScrapeToken].values()
        return next((each for each in tokens if each.token_hash == token_hash and each is not but), None)

    def from_file(self, model: type[Model]) -> list[Any]:
        """Return the model's objects that came from a file, by primary key."""
        return [item for item in self._objects[model].values() if item.source == Source.FILE]

    def users(self) -> dict[tuple[type[Model], int], list[Any]]:
        """Return the objects that refer to each object, by its model and primary key.

        This includes the tokens that list a namespace.
        """
        found: dict[tuple[type[Model], int], list[Any]] = {}
        for item in self._all():
            related = [getattr(item, name) for name in _RELATED if getattr(item, f"{name}_id", None)]
            if isinstance(item, ScrapeToken):
                related += item.namespaces.all()
            for each in related:
                found.setdefault((type(each), each.pk), []).append(item)
        return found

    def note_users(self) -> None:
        """Set the namespaces that will use each credential."""
        users: dict[int, list[Namespace]] = {}
        for namespace in self._objects[Namespace].values():
            users.setdefault(namespace.credential_id, []).append(namespace)
        for credential in self._objects[Credential].values():
            remember(credential, "namespaces", users.get(credential.pk, []))


def _scope(team: Team | None, namespace: Namespace | None) -> tuple[int | None, int | None]:
    return (None, namespace.pk) if namespace is not None else (team.pk if team is not None else None, None)


def relate(item: Any, objects: dict[type[Model], dict[int, Any]]) -> None:
    """Set an object's references to the shared instances."""
    for name in _RELATED:
        number = getattr(item, f"{name}_id", None)
        if number is not None:
            related = type(item)._meta.get_field(name).related_model
            if number in objects[related]:
                setattr(item, name, objects[related][number])


def remember(item: Any, name: str, related: list[Any]) -> None:
    """Make `item.<name>.all()` return these objects, as prefetch_related does."""
    queryset = getattr(item, name).get_queryset()
    queryset._result_cache = related
    queryset._prefetch_done = True
    item._prefetched_objects_cache = {**getattr(item, "_prefetched_objects_cache", {}), name: queryset}


def write(item: Any) -> None:
    """Store an object, which may be new, after those that it refers to."""
    is_new = item.pk < 0
    if is_new:
        item.pk = None
    item._prefetched_objects_cache = {}
    for name in _RELATED:
        if getattr(item, f"{name}_id", None) is not None:
            setattr(item, name, getattr(item, name))  # its primary key may have been assigned only now
    names = {field.name for field in item._meta.concrete_fields if not field.primary_key}
    item.save(**({} if is_new else {"update_fields": names - _TRACKED}))
