"""Derive the target that a scrape needs from a stored namespace: decrypted credential, rules, limits."""

import contextlib
from dataclasses import fields
from functools import lru_cache

from django.core.exceptions import ValidationError

from ..credentials.encryption import SecretUnavailableError
from ..models import Credential, Namespace
from .label_rules import UsableRules, applying_to, rules_of, usable_rules
from .targets import CredentialSpec, Limits, Target

# Most namespaces have the same limits and groups, so they share one object.
_LIMITS = tuple(field.name for field in fields(Limits))
_limits = lru_cache(maxsize=1024, typed=True)(Limits)


@lru_cache(maxsize=1024)
def _groups(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(names)


def target(namespace: Namespace, rules: UsableRules | None = None) -> Target:
    """Return the target for a namespace. It need not be saved, so that a form can be tested."""
    if rules is None:
        rules = usable_rules(applying_to([namespace.team_id], [namespace.pk]))
    spec: CredentialSpec | None = None
    spare: CredentialSpec | None = None
    problem = ""
    if namespace.credential is None:
        problem = f"Namespace {namespace.name} has no credential; choose one in the admin."
    else:
        try:
            problem = _credential_problem(namespace)
            spec = None if problem else credential_spec(namespace.credential)
        except SecretUnavailableError as error:
            problem = str(error)
        if spec is not None and namespace.credential.has_secret("spare_secret"):
            # An unreadable spare matters only when the active secret is refused; the system checks report it.
            with contextlib.suppress(SecretUnavailableError):
                spare = credential_spec(namespace.credential, "spare_")
    return Target(
        name=namespace.name,
        team=namespace.team.name,
        enabled=namespace.enabled,
        host=namespace.host,
        credential=spec,
        spare=spare,
        problem=problem,
        labels=tuple(sorted(namespace.labels.items())),
        include=namespace.include,
        exclude=namespace.exclude,
        groups=_groups(tuple(namespace.metric_groups)),
        limits=_limits(*(getattr(namespace, name) for name in _LIMITS)),
        scrape_interval_seconds=namespace.scrape_interval_seconds,
        scrape_timeout_seconds=namespace.scrape_timeout_seconds,
        rules=rules_of(namespace, rules),
        namespace_id=namespace.pk or 0,
    )


def _credential_problem(namespace: Namespace) -> str:
    """Return why a namespace may not use its credential: a permission can end after the namespace was saved."""
    try:
        return namespace.credential_problem()
    except ValidationError as error:
        return " ".join(error.messages)


def credential_spec(credential: Credential, slot: str = "") -> CredentialSpec:
    """Return a slot's secret and the credential's other values; `slot` is "" or "spare_"."""
    return CredentialSpec(
        kind=credential.kind,
        secret=credential.reveal_secret(slot),
        certificate_password=credential.reveal_certificate_password(slot),
        credential_id=credential.pk or 0,
        name=credential.name,
        team=credential.team.name if credential.team else "",
        tenant_id=credential.tenant_id,
        client_id=credential.client_id,
        authority=credential.authority,
        token_file=credential.token_file,
    )
