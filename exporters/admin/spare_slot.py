"""Testing, promoting and retiring a credential's spare secret."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, reverse

from ..access import roles
from ..configuration import derivation
from ..connection_test import run
from ..credentials.encryption import SecretUnavailableError
from ..models import Credential, SecretSlot
from .base import HubAdmin, comes_from_file

# Testing more namespaces would take too long for a page, and all of them use the same secret.
_TESTED_NAMESPACES = 3


class SpareSlot(HubAdmin):
    """Adds the buttons for the spare secret to the credential admin. Each sends a POST."""

    def get_urls(self) -> list[URLPattern]:
        own = self.page("<int:object_id>/spare/", self.spare_view, "credential_spare")
        return [own, *super().get_urls()]

    def spare_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Run the action in `do`: test-active, test (the spare secret), promote or retire."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        visible = roles.visible(request.user, Credential.objects.all())
        credential = get_object_or_404(visible, pk=object_id)
        if not roles.allows(request.user, "change", Credential, credential):
            raise PermissionDenied
        what = str(request.POST.get("do", ""))
        try:
            if what == "test-active":
                _test(request, credential, SecretSlot.ACTIVE)
            elif not credential.has_secret("spare_secret"):
                raise ValidationError("There is no spare secret.")
            elif what == "test":
                _test(request, credential, SecretSlot.SPARE)
            elif comes_from_file(credential):
                raise ValidationError("This credential comes from hub.yaml. Change its secrets there.")
            elif what in {"promote", "retire"}:
                messages.success(request, _swapped(credential.pk, what))
        except (SecretUnavailableError, ValidationError) as error:
            said = error.messages if isinstance(error, ValidationError) else [str(error)]
            messages.error(request, " ".join(said))
        return HttpResponseRedirect(reverse("admin:exporters_credential_change", args=[credential.pk]))


def _swapped(number: int, what: str) -> str:
    """Lock the stored credential, promote or retire its spare secret, and return the message for the user."""
    with transaction.atomic():
        credential = Credential.objects.select_for_update().get(pk=number)
        if what == "promote":
            credential.promote_spare()
            credential.full_clean()
            said = "The spare secret is now active. The previous secret is now the spare."
        else:
            credential.retire_spare()
            said = "The spare secret was deleted."
        credential._change_reason = f"spare secret {what}d"  # type: ignore[attr-defined]
        credential.save()
    return said


def _test(request: HttpRequest, credential: Credential, slot: SecretSlot) -> None:
    """Test one of the credential's secrets on namespaces that use the credential."""
    name = f"{slot.name.lower()} secret"
    namespaces = roles.visible(request.user, credential.namespaces.select_related("team", "credential__team"))
    tested = list(namespaces.order_by("name")[:_TESTED_NAMESPACES])
    if not tested:
        messages.warning(request, f"The {name} can't be tested: no namespace uses this credential.")
    for namespace in tested:
        # The tested secret may replace one that is unavailable, but is only sent where the credential may be sent.
        problem = namespace.credential_problem()
        if problem:
            messages.error(request, f"The {name} was not tested for {namespace}: {problem}")
            continue
        result = run.run(derivation.target(namespace, slot=slot))
        if result.ok:
            messages.success(request, f"The {name} works for {namespace}.")
        else:
            messages.error(request, f"The {name} doesn't work for {namespace}: {result.problem}")
