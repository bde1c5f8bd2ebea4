"""Analyze a pasted connection string: its endpoint, what its key can and can't do, and a name for the target."""

import hmac
import re
from dataclasses import dataclass

from .. import formatting
from ..credentials.encryption import SecretUnavailableError, fingerprint
from ..credentials.inspection import SecretFacts, examine_connection_string
from ..models import Credential, Team
from ..servicebus.connection import Endpoint

# Maximum length of a suggested name for a namespace or credential, leaving room for a suffix.
_LONGEST = 55
_ROOT_KEY = "RootManageSharedAccessKey"


@dataclass(frozen=True, slots=True)
class Pasted:
    """The parts of a connection string that may be shown; none of them is secret."""

    endpoint: Endpoint
    key_name: str
    entity_path: str
    name: str  # suggested for the target
    remarks: tuple[str, ...]  # what the key can and can't do


def look_at(text: str) -> Pasted:
    """Return what a connection string contains; raise ValidationError with what is wrong and how to fix it."""
    facts = examine_connection_string(text)
    connection = facts.connection
    assert connection is not None  # noqa: S101 - always set for a connection string
    return Pasted(
        endpoint=connection.endpoint,
        key_name=connection.key_name,
        entity_path=connection.entity_path,
        name=suggest_name(connection.endpoint, connection.entity_path),
        remarks=tuple(_remarks(facts, connection.key_name, connection.entity_path)),
    )


def _remarks(facts: SecretFacts, key_name: str, entity_path: str) -> list[str]:
    remarks = []
    if entity_path:
        remarks.append(
            f"It only grants access to {entity_path}: the hub can't read the namespace's other queues and topics, "
            "or its SKU."
        )
    if facts.connection is not None and facts.connection.signature:
        ends = (
            f"expires {formatting.relative(facts.expires_at)}"
            if facts.expires_at
            else "has no readable expiry date"
        )
        remarks.append(f"It is a shared access signature: it {ends}, and the hub can't renew it.")
    elif key_name == _ROOT_KEY:
        remarks.append(
            "It is the namespace's root key, which also allows sending, receiving and deleting. Create a separate "
            "Manage policy for the hub, so that you can revoke it separately."
        )
    if not remarks or key_name != _ROOT_KEY:
        remarks.append(
            "A connection string doesn't show whether its key has the Manage right. Run the test to find out."
        )
    return remarks


def suggest_name(endpoint: Endpoint, entity_path: str = "") -> str:
    """Return a valid name to suggest for the target: payments-prod, payments-prod-orders."""
    first = endpoint.host.partition(".")[0]
    words = f"{first}-{entity_path}" if entity_path else first
    return re.sub(r"[^a-z0-9]+", "-", words.lower())[:_LONGEST].strip("-")


def stored_as(text: str, team: Team) -> Credential | None:
    """Return the team's credential with exactly this connection string, or None."""
    candidates = Credential.objects.filter(
        team=team, kind=Credential.Kind.CONNECTION_STRING, secret_fingerprint=fingerprint(text)
    )
    for credential in candidates:
        try:
            # A fingerprint is short and can collide, so compare the secrets.
            if hmac.compare_digest(credential.reveal_secret().encode(), text.encode()):
                return credential
        except SecretUnavailableError:
            continue
    return None


def free_credential_name(name: str, team: Team) -> str:
    """Return an unused credential name for a target: the target's name, with a number if the team already uses it."""
    name = name[:_LONGEST]
    taken = set(Credential.objects.filter(team=team, name__startswith=name).values_list("name", flat=True))
    if name not in taken:
        return name
    return next(f"{name}-{number}" for number in range(2, len(taken) + 3) if f"{name}-{number}" not in taken)
