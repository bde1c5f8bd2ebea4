"""The configuration with the parts it was made from, which later changes are applied to."""

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain

from ..credentials import references
from ..credentials.encryption import KeyRing
from ..models import Version
from .label_rules import RuleScope
from .targets import Configuration, Expiry, Grant, Target

# References to files and variables, with each one's signature before it was read.
Watched = tuple[tuple[Mapping[str, str], Hashable], ...]


@dataclass(frozen=True, slots=True)
class KnownCredential:
    """What is kept of a credential in addition to the targets that use it."""

    name: str
    team: str | None  # None: a platform credential
    expires_at: datetime | None
    spare_expires_at: datetime | None

    def expiries(self) -> Iterator[Expiry]:
        for slot, at in (("active", self.expires_at), ("spare", self.spare_expires_at)):
            if at is not None:
                yield Expiry(credential=self.name, team=self.team, at=at, slot=slot)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The configuration with the parts it was made from, by primary key, to apply later changes to.

    It is never modified, because threads and the copy on disk keep using it; unchanged objects are shared.
    """

    version: Version
    ring: KeyRing
    configuration: Configuration
    teams: Mapping[int, str]
    targets: Mapping[int, Target]
    grants: Mapping[int, Grant]
    credentials: Mapping[int, KnownCredential]
    # What these belonged to before they were changed or deleted.
    credential_of_grant: Mapping[int, int] = field(default_factory=dict)
    scope_of_rule: Mapping[int, RuleScope] = field(default_factory=dict)
    # By credential's primary key.
    references: Mapping[int, Watched] = field(default_factory=dict)

    def outdated_references(self) -> set[int]:
        """Return the credentials whose files or variables have changed."""
        return {
            pk
            for pk, watched in self.references.items()
            if any(references.revision(reference) != seen for reference, seen in watched)
        }


def configuration_of(
    version: Version,
    teams: Mapping[int, str],
    targets: Mapping[int, Target],
    grants: Mapping[int, Grant],
    credentials: Mapping[int, KnownCredential],
    former: Loaded | None = None,
) -> Configuration:
    """Combine the parts; share whatever is the same as in the former configuration."""
    if former is None:
        return Configuration(
            version=version.number,
            teams=frozenset(teams.values()),
            targets=_by_name(targets, {}),
            grants=_by_hash(grants),
            expiries=_expiries(credentials),
            credentials=_names(credentials),
        )
    known = former.configuration
    return replace(
        known,
        version=version.number,
        teams=known.teams if teams is former.teams else frozenset(teams.values()),
        targets=known.targets if targets is former.targets else _by_name(targets, known.targets),
        grants=known.grants if grants is former.grants else _by_hash(grants),
        expiries=known.expiries if credentials is former.credentials else _expiries(credentials),
        credentials=known.credentials if credentials is former.credentials else _names(credentials),
    )


def _by_name(targets: Mapping[int, Target], known: Mapping[str, Target]) -> Mapping[str, Target]:
    """Return the targets by name and sorted by name; `known` is already sorted."""
    found = {target.name: target for target in targets.values()}
    if found.keys() == known.keys():
        return {name: found[name] for name in known}
    return dict(sorted(found.items()))


def _by_hash(grants: Mapping[int, Grant]) -> Mapping[str, Grant]:
    return {grants[pk].token_hash: grants[pk] for pk in sorted(grants)}


def _expiries(credentials: Mapping[int, KnownCredential]) -> tuple[Expiry, ...]:
    return tuple(chain.from_iterable(credentials[pk].expiries() for pk in sorted(credentials)))


def _names(credentials: Mapping[int, KnownCredential]) -> frozenset[tuple[str, str]]:
    return frozenset((each.name, each.team or "") for each in credentials.values())
