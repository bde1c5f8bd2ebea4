"""Grants of platform credentials in hub.yaml."""

from django.core.exceptions import ValidationError

from ..credentials.endpoints import check_hosts
from ..models import Credential, IdentityGrant, Team
from .draft import Draft
from .schema import Entry

Granted = list[tuple[Team, list[str]]]


def entry_grants(draft: Draft, entry: Entry) -> Granted:
    """Return the teams that the file grants a credential to, sorted by name; report problems in the entry."""
    granted: Granted = []
    for grant in entry.get("grants") or []:
        team = draft.find(entry, "team", grant["team"])
        if team is None:
            continue
        if any(other == team for other, _ in granted):
            entry.report("grants", f"Team “{team}” appears twice. Combine its hosts.")
        try:
            hosts = check_hosts(grant["hosts"])
        except ValidationError as error:
            entry.report("grants", " ".join(error.messages))
            continue
        if not hosts:
            entry.report("grants", f"List the hosts for which team “{team}” may use it.")
        granted.append((team, hosts))
    if granted and entry.get("team"):
        entry.report("grants", "Only a credential without a team can be granted to teams.")
    return sorted(granted, key=lambda each: each[0].name)


def set_grants(credential: Credential, granted: Granted, reason: str) -> None:
    """Store the file's grants, and delete those that it no longer has."""
    for old in credential.grants.exclude(team__in=[team for team, _ in granted]):
        old._change_reason = reason  # type: ignore[attr-defined]
        old.delete()
    for team, hosts in granted:
        grant = credential.grants.filter(team=team).first() or IdentityGrant(credential=credential, team=team)
        if grant.hosts != hosts:
            grant.hosts = hosts
            grant._change_reason = reason  # type: ignore[attr-defined]
            grant.save()
