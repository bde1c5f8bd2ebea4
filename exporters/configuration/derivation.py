"""Derive the target that a scrape needs from a stored namespace: decrypted credential, rules, limits."""

from dataclasses import fields, replace
from functools import lru_cache

from django.core.exceptions import ValidationError

from ..credentials.encryption import SecretUnavailableError
from ..credentials.endpoints import endpoint_of
from ..models import Credential, Namespace, SecretSlot
from ..servicebus.connection import ConnectionStringError, Endpoint, parse_connection_string
from ..servicebus.entities import Failure
from ..servicebus.errors import Reason, ServiceBusError
from .label_rules import UsableRules, applying_to, rules_of, usable_rules
from .targets import CredentialSpec, Limits, Target

# Most namespaces have the same limits and groups, so they share one object.
_LIMITS = tuple(field.name for field in fields(Limits))
_limits = lru_cache(maxsize=1024, typed=True)(Limits)


@lru_cache(maxsize=1024)
def _groups(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(names)


def target(namespace: Namespace, rules: UsableRules | None = None, slot: SecretSlot | None = None) -> Target:
    """Return the target for a namespace. It need not be saved, so that a form can be tested.

    With a slot, the target uses this slot's secret alone, to test it.
    """
    if rules is None:
        rules = usable_rules(applying_to([namespace.team_id], [namespace.pk]))
    spec: CredentialSpec | None = None
    endpoint: Endpoint | None = None
    problem: Failure | None = None
    try:
        credential = _usable_credential(namespace)
        spec = _credential_spec(credential, slot or SecretSlot.ACTIVE)
        spec = _parsed(spec)
    except ServiceBusError as error:
        problem = Failure(error.reason, error.message)
    except (SecretUnavailableError, ConnectionStringError) as error:
        problem = Failure(Reason.CREDENTIAL, str(error))
    try:
        endpoint = endpoint_of(namespace.host, spec.connection if spec is not None else None)
    except ValidationError as error:  # the platform's settings may have changed since the host was entered
        problem = problem or Failure(Reason.CONNECTION, " ".join(error.messages))
    return Target(
        name=namespace.name,
        team=namespace.team.name,
        enabled=namespace.enabled,
        host=namespace.host,
        endpoint=endpoint,
        credential=spec,
        spare=_spare(credential) if problem is None and slot is None else None,
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


def _usable_credential(namespace: Namespace) -> Credential:
    """Return the namespace's credential; raise ServiceBusError if it has none or may not use it.

    A permission can end after the namespace was saved.
    """
    credential = namespace.credential
    if credential is None:
        message = f"Namespace {namespace.name} has no credential; choose one in the admin."
        raise ServiceBusError(Reason.CREDENTIAL, message)
    try:
        problem = namespace.credential_problem()
    except ValidationError as error:
        problem = " ".join(error.messages)
    if problem:
        raise ServiceBusError(Reason.CREDENTIAL, problem)
    return credential


def _spare(credential: Credential) -> CredentialSpec | None:
    """Return the spare secret, or None if there is none that can be used.

    An unusable one matters only when the active secret is refused; the system checks report it.
    """
    if not credential.has_secret("spare_secret"):
        return None
    try:
        return _parsed(_credential_spec(credential, SecretSlot.SPARE))
    except (SecretUnavailableError, ConnectionStringError):
        return None


def _parsed(spec: CredentialSpec) -> CredentialSpec:
    """Return the credential with its parsed connection string, if it is one; raise ConnectionStringError."""
    if spec.kind != Credential.Kind.CONNECTION_STRING:
        return spec
    return replace(spec, connection=parse_connection_string(spec.secret))


def _credential_spec(credential: Credential, slot: SecretSlot) -> CredentialSpec:
    """Return a slot's secret and the credential's other values."""
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
