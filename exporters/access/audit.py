"""Who changed what, and from where: an address in each history row, and a log line for each change and sign-in.

Lines name fields, never their values. A change that is rolled back, such as those of a plan for hub.yaml, logs no line.
"""

import logging
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.db import transaction
from django.dispatch import receiver
from django.http import HttpRequest
from simple_history.models import HistoricalRecords
from simple_history.signals import post_create_historical_record, pre_create_historical_record

from .rate_limit import client_address

logger = logging.getLogger("audit")

_ACTIONS = {"+": "created", "~": "changed", "-": "deleted"}
NO_SUCH_USER = "(no such user)"


@receiver(pre_create_historical_record, dispatch_uid="address_of_a_change")
def _note_who_and_where(history_instance: Any, history_user: Any, **kwargs: Any) -> None:
    history_instance.history_username = history_user.get_username() if history_user else ""
    history_instance.history_address = _address(_current_request())


@receiver(post_create_historical_record, dispatch_uid="audit_line")
def _log_change(instance: Any, history_instance: Any, **kwargs: Any) -> None:
    action = _ACTIONS[history_instance.history_type]
    # Names can't forge a log line: they consist of letters, digits and hyphens; usernames may also have @ . + and _.
    name = instance.get_username() if isinstance(instance, User) else getattr(instance, "name", "")
    line = {
        "user": history_instance.history_username or "the hub",
        "address": history_instance.history_address,
        "action": action,
        "object": f"{instance._meta.model_name} {instance.pk}{f' ({name})' if name else ''}",
        "fields": "",
        "reason": history_instance.history_change_reason or "",
    }

    def log() -> None:  # deferred, because it queries the previous record
        fields = ",".join(_changed(history_instance)) if action == "changed" else ""
        logger.info("audit", extra=line | {"fields": fields})

    transaction.on_commit(log, robust=True)


@receiver(user_logged_in, dispatch_uid="audit_sign_in")
def _log_sign_in(user: Any, request: HttpRequest | None = None, **kwargs: Any) -> None:
    line = {"user": user.get_username(), "address": _address(request), "action": "signed in"}
    logger.info("audit", extra=line)


@receiver(user_login_failed, dispatch_uid="audit_failed_sign_in")
def _log_failed_sign_in(
    credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any
) -> None:
    # Someone may have typed a password into the username field: log the text only if such a user exists.
    users = get_user_model()
    typed = credentials.get(users.USERNAME_FIELD)
    known = typed and users._default_manager.filter(**{users.USERNAME_FIELD: typed}).exists()
    logger.warning(
        "audit",
        extra={
            "user": typed if known else NO_SUCH_USER,
            "address": _address(request),
            "action": "sign-in failed",
        },
    )


def _current_request() -> HttpRequest | None:
    """Return the request that this thread handles, or None in a command."""
    return getattr(HistoricalRecords.context, "request", None)


def _address(request: HttpRequest | None) -> str:
    """Return the client's address, or "" if it isn't known (a command, a Unix socket)."""
    return "" if request is None else client_address(request)


def _changed(record: Any) -> list[str]:
    before = record.prev_record
    return sorted(record.diff_against(before).changed_fields) if before is not None else []
