"""Failed sign-ins in the database: a bounded number of small rows, whatever the requests contain."""

from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from django.db.models.signals import pre_save
from django.dispatch import receiver
from django.http import HttpRequest

# One for each pair of name and address, kept for AXES_COOLOFF_TIME. About 200 bytes each.
MAX_FAILED_SIGN_INS = 10_000


class SignInAttempts(AxesDatabaseHandler):  # type: ignore[misc] # axes publishes no types
    """Counts failures per name and address, and stores nothing else about a failed sign-in.

    By default, axes stores a row per User-Agent as well, and appends the query string and form of each failure to it.
    """

    def user_login_failed(
        self, sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any
    ) -> None:
        if request is not None:
            for name in ("axes_user_agent", "axes_http_accept", "axes_path_info"):
                setattr(request, name, "")
        super().user_login_failed(sender, credentials, request, **kwargs)
        surplus = AccessAttempt.objects.count() - MAX_FAILED_SIGN_INS
        if surplus > 0:
            # Delete locked names last: sending many names must not unlock one.
            first = AccessAttempt.objects.order_by("failures_since_start", "attempt_time", "pk")[:surplus]
            AccessAttempt.objects.filter(pk__in=list(first.values_list("pk", flat=True))).delete()


@receiver(pre_save, sender=AccessAttempt, dispatch_uid="small_failed_sign_ins")
def _keep_no_form(instance: Any, **kwargs: Any) -> None:
    instance.get_data = instance.post_data = ""
