"""Tells the catalog that the configuration changed: this process at once, the others by the version row."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db import transaction
from django.db.models import Model
from django.db.models.signals import m2m_changed, post_delete, post_save
from django.dispatch import receiver

from .catalog import catalog
from .models import ConfigurationVersion, Credential, IdentityGrant, LabelRule, Namespace, ScrapeToken, Team

_CONFIGURATION = (Team, Credential, IdentityGrant, Namespace, LabelRule, ScrapeToken)


@receiver([post_save, post_delete], dispatch_uid="configuration_changed")
def _configuration_changed(sender: type[Model], **kwargs: Any) -> None:
    if sender in _CONFIGURATION:
        _changed()


@receiver(m2m_changed, sender=ScrapeToken.namespaces.through, dispatch_uid="token_namespaces_changed")
def _token_namespaces_changed(**kwargs: Any) -> None:
    _changed()


_one_change: ContextVar[bool] = ContextVar("one_change", default=False)


@contextmanager
def as_one_change() -> Iterator[None]:
    """Count all changes within as one, at their end; use it in a transaction."""
    token = _one_change.set(True)
    try:
        yield
    finally:
        _one_change.reset(token)
    _changed()


def _changed() -> None:
    if _one_change.get():
        return
    ConfigurationVersion.bump()
    transaction.on_commit(catalog.invalidate)
    catalog.invalidate()
