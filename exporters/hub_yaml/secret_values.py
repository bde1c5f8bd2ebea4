"""Secrets in hub.yaml: references are stored and resolved, `stored` keeps the current secret."""

from django.utils import timezone

from ..credentials import references
from ..models import Credential, ScrapeToken
from .draft import Draft
from .schema import Entry, SecretReference

# A token that someone made up is easier to guess than one of the hub's 256 random bits. 8 characters are the minimum;
# below 24 the plan has a warning.
_SHORTEST_TOKEN = 8
_GOOD_TOKEN = 24


def set_secret(draft: Draft, entry: Entry, item: Credential, name: str) -> None:
    """Set a credential's secret or certificate password from the file."""
    wanted: SecretReference | None = entry.get(name)
    if wanted is not None and wanted.kind == "stored":
        if not getattr(item, name):
            entry.report(
                name,
                "This hub has no stored secret for this credential. Use a reference, {env: VARIABLE} or {file: "
                "/path}, or create the credential in the admin.",
            )
        elif wanted.place != getattr(item, f"{name}_fingerprint"):
            draft.warn(entry, name, "A different secret was stored in the meantime and is kept.")
        return
    setattr(item, name, "")
    setattr(item, f"{name}_reference", wanted.reference if wanted else {})
    value = _resolve(entry, name, wanted) if wanted else ""
    if value is not None:
        item.note_secret(name, value)


def set_token(draft: Draft, entry: Entry, item: ScrapeToken) -> None:
    """Set a token's hash from the file."""
    wanted: SecretReference | None = entry.get("token")
    if wanted is None:
        entry.report("token", "Use a reference to the token: {env: VARIABLE} or {file: /path}.")
    elif wanted.kind == "stored":
        if not item.token_hash:
            entry.report(
                "token",
                "This hub has no such token stored. Use a reference, {env: VARIABLE} or {file: /path}, or create "
                "the token in the admin.",
            )
        elif wanted.place != item.fingerprint:
            draft.warn(entry, "token", "A different token was stored in the meantime and is kept.")
        item.token_reference = {}
    else:
        item.token_reference = wanted.reference
        value = _resolve(entry, "token", wanted)
        if value is not None:
            _check_token(draft, entry, value)
            item.set_token(value)
            other = draft.stored.token_with(item.token_hash, but=item)
            if other is not None:
                owner = f"team “{other.team}”" if other.team else "all teams"
                entry.report(
                    "token",
                    f"This token is already in use as “{other.name}” of {owner}. Use a different one.",
                )


def set_revoked(draft: Draft, entry: Entry, item: ScrapeToken) -> None:
    """Revoke a token if the file says so; a revoked token stays revoked whatever the file says."""
    if entry.get("revoked"):
        item.revoked_at = item.revoked_at or timezone.now()
    elif item.revoked_at is not None:
        draft.warn(
            entry,
            "name",
            "This token was revoked and can't be restored. Use a new token with a different name.",
        )


def _check_token(draft: Draft, entry: Entry, value: str) -> None:
    if len(value) < _SHORTEST_TOKEN or not value.isascii() or not value.isprintable() or " " in value:
        entry.report(
            "token",
            f"A token needs at least {_SHORTEST_TOKEN} characters of printable ASCII without spaces. `openssl rand "
            "-hex 32` generates a good one.",
        )
    elif len(value) < _GOOD_TOKEN:
        draft.warn(
            entry, "token", "This token is short. `openssl rand -hex 32` generates one that can't be guessed."
        )


def _resolve(entry: Entry, name: str, wanted: SecretReference) -> str | None:
    try:
        return references.resolve(wanted.reference)
    except references.UnresolvedReferenceError as error:
        entry.report(name, str(error))
        return None
