"""A log line for each change that the history keeps: who, from where, what; names of fields, never their values."""

import logging
from typing import Any

from django.dispatch import receiver
from simple_history.models import HistoricalRecords
from simple_history.signals import post_create_historical_record

logger = logging.getLogger("audit")

_ACTIONS = {"+": "created", "~": "changed", "-": "deleted"}


@receiver(post_create_historical_record, dispatch_uid="audit_line")
def _log(sender: Any, instance: Any, history_instance: Any, history_user: Any, **kwargs: Any) -> None:
    request = getattr(HistoricalRecords.context, "request", None)
    action = _ACTIONS[history_instance.history_type]
    # The number and, where there is one, the name, which is letters, digits and hyphens: nothing that forges a line.
    name = getattr(instance, "name", "")
    logger.info(
        "audit",
        extra={
            "user": history_user.get_username() if history_user else "the hub",
            "address": request.META.get("REMOTE_ADDR", "") if request is not None else "",
            "action": action,
            "object": f"{instance._meta.model_name} {instance.pk}{f' ({name})' if name else ''}",
            "fields": ",".join(_changed(history_instance)) if action == "changed" else "",
            "reason": history_instance.history_change_reason or "",
        },
    )


def _changed(record: Any) -> list[str]:
    before = record.prev_record
    return sorted(record.diff_against(before).changed_fields) if before is not None else []
