"""The pages for credentials: the list, and a credential's page with the namespaces that use it."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.views.decorators.debug import sensitive_post_parameters

from .. import formatting
from ..access import roles
from ..models import Credential, Namespace, SecretSlot
from ..scraping.state import state_of
from .credential_form import CredentialForm, describe_secret
from .grants import MOST_ROWS, SEARCH, GrantsInline
from .spare_slot import SpareSlot
from .team_filter import TeamFilter


class ExpiryFilter(admin.SimpleListFilter):
    """Filters by the expiry of either secret: an expired spare secret can't replace the active one."""

    title = "expiry"
    parameter_name = "expiry"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("over", "expired"), ("soon", "within 30 days"), ("later", "later"), ("unknown", "unknown")]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Credential]") -> "QuerySet[Credential]":
        now = timezone.now()
        soon = now + timedelta(days=30)
        over = Q(expires_at__lte=now) | Q(spare_expires_at__lte=now)
        near = Q(expires_at__gt=now, expires_at__lte=soon) | Q(
            spare_expires_at__gt=now, spare_expires_at__lte=soon
        )
        match self.value():
            case "over":
                return queryset.filter(over)
            case "soon":
                return queryset.filter(near)
            case "later":
                return queryset.filter(Q(expires_at__gt=soon) | Q(spare_expires_at__gt=soon)).exclude(
                    over | near
                )
            case "unknown":
                return queryset.filter(expires_at=None, spare_expires_at=None)
        return queryset


# The most namespaces shown on a credential's page. The list of namespaces finds all of them.
_MOST_USES = 20


@admin.register(Credential)
@method_decorator(sensitive_post_parameters(*Credential.SECRET_FIELDS), name="changeform_view")
class CredentialAdmin(SpareSlot):
    form = CredentialForm
    change_form_template = "admin/exporters/credential/change_form.html"
    ordering = ("name",)  # annotating counts drops the model's ordering
    list_display = ("name", "team", "kind_shown", "secret_state", "expires", "used_by")
    list_select_related = ("team",)
    list_filter = (
        "kind",
        TeamFilter,
        ExpiryFilter,
        "source",
    )
    search_fields = ("name", "team__name", "tenant_id", "client_id", "namespaces__name")
    # Searching for another team's namespace must not find the platform identity that it uses.
    administrators_search_fields = ("namespaces__name",)
    autocomplete_fields = ("team",)
    # A stored secret is its ciphertext.
    shown_read_only = {
        "secret": "secret_state",
        "spare_secret": "spare_state",
        "certificate_password": "",
        "spare_certificate_password": "",
        "hosts": "hosts_shown",
    }
    fieldsets = (
        (None, {"fields": ("name", "team", "kind")}),
        (
            "Secret",
            {
                "fields": ("secret", "certificate_password", "expires_at"),
                "description": "Encrypted when saved. It is never shown again.",
            },
        ),
        (
            "Spare secret",
            {
                "fields": ("spare_secret", "spare_certificate_password", "spare_expires_at"),
                "description": "To rotate the secret without downtime: enter the new one here and save, test it "
                "with the button above, promote it, then retire the old one.",
            },
        ),
        (
            "Entra ID",
            {
                "fields": ("tenant_id", "client_id", "authority", "token_file"),
                "description": "For all kinds except connection strings.",
            },
        ),
        (
            "Hosts",
            {
                "fields": ("hosts",),
                "description": "The credential is only sent to these hosts. When an owner selects it in a "
                "namespace, the namespace's host is added. Editors can't add hosts.",
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Credential]":
        found: QuerySet[Credential] = super().get_queryset(request)
        # For a platform identity, members see the count of their own teams' namespaces only. A join would count for
        # all credentials, not just for those on the page.
        using = roles.visible(request.user, Namespace.objects.filter(credential=OuterRef("pk")))
        counted = using.order_by().values("credential").annotate(count=Count("pk")).values("count")
        return found.annotate(namespace_count=Coalesce(Subquery(counted), 0))

    def get_inlines(self, request: HttpRequest, obj: Any = None) -> tuple[Any, ...]:
        return (GrantsInline,) if obj is not None and obj.team_id is None else ()

    def save_model(self, request: HttpRequest, obj: Credential, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        form.forget_held()

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show the form with a description of each secret and the namespaces that a change would affect."""
        credential = self.get_object(request, unquote(object_id))
        context = dict(extra_context or {})
        if credential is not None:
            using = Namespace.objects.filter(credential=credential).select_related("status", "team")
            context["has_spare"] = credential.has_secret("spare_secret")
            context["has_main"] = credential.has_secret()
            context["may_test"] = roles.allows(request.user, "change", Credential, credential)
            context["secret_state"] = describe_secret(credential)
            context["spare_state"] = describe_secret(credential, SecretSlot.SPARE)
            using = roles.visible(request.user, using).order_by("name")
            context["used_by"] = [
                (namespace, state_of(namespace, timezone.now())) for namespace in using[:_MOST_USES]
            ]
            grants = credential.grants.count()
            if grants > MOST_ROWS and roles.is_platform_administrator(request.user):
                context |= {
                    "grants": grants,
                    "rows": MOST_ROWS,
                    "grants_of": request.GET.get(SEARCH, "")[:63],
                }
            context["more_uses"] = max(0, using.count() - _MOST_USES)
        answer: HttpResponse = super().change_view(request, object_id, form_url, context)
        return answer

    @admin.display(description="hosts")
    def hosts_shown(self, credential: Credential) -> str:
        return ", ".join(credential.hosts) or "none"

    @admin.display(description="secret")
    def secret_state(self, credential: Credential) -> str:
        return describe_secret(credential)

    @admin.display(description="spare secret")
    def spare_state(self, credential: Credential) -> str:
        return describe_secret(credential, SecretSlot.SPARE)

    @admin.display(description="kind", ordering="kind")
    def kind_shown(self, credential: Credential) -> str:
        return credential.get_kind_display().partition(" (")[0]  # the form shows the full text

    @admin.display(description="used by", ordering="namespace_count")
    def used_by(self, credential: Credential) -> str:
        count = credential.namespace_count  # type: ignore[attr-defined]
        return "1 namespace" if count == 1 else f"{count} namespaces"

    @admin.display(description="expires", ordering="expires_at")
    def expires(self, credential: Credential) -> str:
        shown = formatting.time_tag(credential.expires_at, missing="-")
        if credential.expires_at is not None and credential.expires_at <= timezone.now():
            return format_html("expired {}", shown)
        return shown
