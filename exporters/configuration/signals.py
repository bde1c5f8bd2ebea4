"""Notify the reloader of changes to the configuration: this process immediately, the others through the version row."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db import transaction
from django.db.models import Model
from django.db.models.signals import m2m_changed, post_delete, post_save
from django.dispatch import receiver

from ..models import ConfigurationVersion, Credential, IdentityGrant, LabelRule, Namespace, ScrapeToken, Team
from .reloader import reloader

_CONFIGURATION = (Team, Credential, IdentityGrant, Namespace, LabelRule, ScrapeToken)

Changes = Iterable[tuple[str, int]]


@receiver([post_save, post_delete], dispatch_uid="configuration_changed")
def _configuration_changed(sender: type[Model], instance: Model, **kwargs: Any) -> None:
    if sender in _CONFIGURATION:
        _changed([_named(instance)])


@receiver(m2m_changed, sender=ScrapeToken.namespaces.through, dispatch_uid="token_namespaces_changed")
def _token_namespaces_changed(instance: Model, model: type[Model], pk_set: Any, **kwargs: Any) -> None:
    # Either end can send this: `instance` is the token or a namespace, `pk_set` has the others. None: all are removed.
    name = model._meta.model_name or ""
    _changed([_named(instance), *((name, pk) for pk in pk_set or ())])


def _named(instance: Model) -> tuple[str, int]:
    return instance._meta.model_name or "", instance.pk


# Changes collected in an as_one_change block; None outside of one.
_collected: ContextVar[set[tuple[str, int]] | None] = ContextVar("collected", default=None)


@contextmanager
def as_one_change() -> Iterator[None]:
    """Record all changes in the block as one change at its end; use it in a transaction."""
    collected: set[tuple[str, int]] = set()
    token = _collected.set(collected)
    try:
        yield
    finally:
        _collected.reset(token)
    _changed(collected)


def _changed(changes: Changes) -> None:
    collected = _collected.get()
    if collected is not None:
        collected.update(changes)
        return
    ConfigurationVersion.bump(changes)
    transaction.on_commit(reloader.invalidate)
    reloader.invalidate()
