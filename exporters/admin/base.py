"""What every screen has in common."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import URLPattern
from simple_history.admin import SimpleHistoryAdmin

from ..models import Source

if TYPE_CHECKING:
    from django.db.models import Model

    TabularInline = admin.TabularInline[Model, Model]
else:
    TabularInline = admin.TabularInline


class HubAdmin(SimpleHistoryAdmin):  # type: ignore[misc]
    """Objects of hub.yaml can be looked at but not changed; every object has its history."""

    change_form_template = "admin/exporters/change_form.html"
    object_history_list_template = "admin/exporters/object_history_list.html"
    list_per_page = 50
    # The pages that Django would link to here are for Prometheus.
    view_on_site = False

    def get_urls(self) -> list[URLPattern]:
        # The history's page of one version could put an old version back, without its secret.
        return [url for url in super().get_urls() if not str(url.name).endswith("_simple_history")]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        title = str(self.opts.verbose_name_plural).capitalize()  # instead of "Select namespace to change"
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def revert_disabled(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not comes_from_file(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not comes_from_file(obj) and super().has_delete_permission(request, obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, Any, Any]:
        tree, counts, missing, protected = super().get_deleted_objects(objs, request)
        of_file = [f"{obj}: comes from hub.yaml; take it out there" for obj in objs if comes_from_file(obj)]
        if of_file:
            return tree, counts, set(), [*protected, *of_file]
        return tree, counts, missing, protected


def comes_from_file(obj: Any) -> bool:
    return getattr(obj, "source", None) == Source.FILE


class SourceFilter(admin.SimpleListFilter):
    title = "edited in"
    parameter_name = "source"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(value), str(label)) for value, label in Source.choices]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(source=self.value()) if self.value() else queryset
