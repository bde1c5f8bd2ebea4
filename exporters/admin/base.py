"""Base classes for the admin's pages."""

from collections.abc import Callable
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import get_fields_from_path, unquote
from django.contrib.admin.views.main import ORDER_VAR, SEARCH_VAR, ChangeList, ChangeListSearchForm
from django.core.exceptions import SuspiciousOperation
from django.db import IntegrityError, connection
from django.db.models import Max, QuerySet
from django.forms.models import _get_foreign_key
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.urls import URLPattern, path
from simple_history.admin import SimpleHistoryAdmin

from ..access import roles
from ..models import Source
from ..pages.change_log import Differences
from ..pages.numbers import whole_number
from ..pages.search import MAX_SEARCH_CHARACTERS
from .scoped import Scoped


class _SearchForm(ChangeListSearchForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields[SEARCH_VAR] = forms.CharField(
            required=False, strip=False, max_length=MAX_SEARCH_CHARACTERS
        )


class _OfThisMoment(forms.ModelForm):  # type: ignore[type-arg]
    """A form that doesn't overwrite changes made since its page was rendered.

    A form saves all its fields, so an outdated page could restore a role or a host that was removed in the meantime.
    """

    outdated = False  # set by the admin

    def clean(self) -> Any:
        cleaned = super().clean()
        if self.outdated:
            self.add_error(
                None,
                "Not saved: someone else has changed this object in the meantime. Review their changes in another "
                "window; saving again replaces them.",
            )
        return cleaned


class HubList(ChangeList):
    """A list whose URL can't request a larger query than the list's own links do."""

    search_form_class = _SearchForm

    def get_ordering(self, request: HttpRequest, queryset: "QuerySet[Any]") -> list[Any]:
        # Databases refuse to order by thousands of columns.
        wanted = str(self.params.get(ORDER_VAR, "")).split(".")
        if len(wanted) > len(self.list_display):
            raise SuspiciousOperation("The list can't be sorted by more columns than it has.")
        return list(super().get_ordering(request, queryset))


class HubAdmin(Scoped, SimpleHistoryAdmin):  # type: ignore[misc]
    """Admin pages on which users see and change what their team roles allow. Django's own permissions are not used.

    A request for another team's object gets a 404, as if the object didn't exist. Objects from hub.yaml are read-only.
    Every object has a history.
    """

    change_form_template = "admin/exporters/change_form.html"
    object_history_list_template = "admin/exporters/object_history_list.html"
    list_per_page = 50
    # Fields that only platform administrators search, because a match would reveal something to others.
    administrators_search_fields: tuple[str, ...] = ()
    # Maps a field to the one shown instead of it to users who may not change the object, because Django would show the
    # stored value. If mapped to an empty string, the field is hidden.
    shown_read_only: ClassVar[dict[str, str]] = {}
    # Facets count the whole list once for each choice.
    show_facets = admin.ShowFacets.NEVER
    # Django would link to the pages for Prometheus.
    view_on_site = False

    def get_urls(self) -> list[URLPattern]:
        # The history page of a single version could restore it without its secret. The URL without a name redirects
        # <anything>/ to <anything>/change/, even if the object doesn't exist.
        return [url for url in super().get_urls() if url.name and not url.name.endswith("_simple_history")]

    def page(self, route: str, view: Callable[..., HttpResponseBase], name: str) -> URLPattern:
        """Return the URL pattern of a page below this admin's own URL, with the name admin:exporters_<name>."""
        found: URLPattern = path(route, self.admin_site.admin_view(view), name=f"exporters_{name}")
        return found

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return HubList

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return fieldsets
        return [
            (title, {**options, "fields": list(filter(None, map(self._shown, options["fields"])))})
            for title, options in fieldsets
        ]

    def _shown(self, name: str) -> str:
        return self.shown_read_only.get(name, name)

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        reserved = () if roles.is_platform_administrator(request.user) else self.administrators_search_fields
        return tuple(name for name in self.search_fields if name not in reserved)

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> tuple["QuerySet[Any]", bool]:
        if len(search_term) > MAX_SEARCH_CHARACTERS:
            raise SuspiciousOperation("The search term is too long.")
        found: tuple[QuerySet[Any], bool] = super().get_search_results(request, queryset, search_term)
        return found

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Take only choices from the URL: other fields would show any text that somebody put into a link."""
        given = super().get_changeform_initial_data(request)
        relations = {
            field.name for field in (*self.opts.fields, *self.opts.many_to_many) if field.is_relation
        }
        return {
            name: value
            for name, value in given.items()
            if name in relations
            and all(
                whole_number(each) is not None for each in (value if isinstance(value, list) else [value])
            )
        }

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        number = whole_number(object_id)
        if request.method == "POST" and number is not None and connection.in_atomic_block:
            # Lock the row, so that a concurrent change is saved entirely before or after this one.
            self.model._default_manager.select_for_update().order_by("pk").filter(pk=number).first()
        return super().get_object(request, object_id, from_field or None)  # an empty _to_field means no field

    def _seen(self, request: HttpRequest, obj: Any) -> str:
        """Return a version string that changes whenever the object, or a row of an inline on its page, changes."""
        records = [self.model.history.filter(id=obj.pk)]
        for inline in self.get_inline_instances(request, obj):
            parent = _get_foreign_key(self.model, inline.model, fk_name=inline.fk_name)
            records.append(inline.model.history.filter(**{parent.attname: obj.pk}))
        return "-".join(str(each.aggregate(last=Max("history_id"))["last"] or 0) for each in records)

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        seen = self._seen(request, obj) if obj is not None else ""
        answer: HttpResponse = super().render_change_form(
            request, {**context, "seen": seen}, *args, obj=obj, **kwargs
        )
        return answer

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        if any(whole_number(each) is None for each in request.POST.getlist(ACTION_CHECKBOX_NAME)):
            raise SuspiciousOperation("The selection has an invalid ID.")
        title = str(self.opts.verbose_name_plural).capitalize()  # instead of "Select namespace to change"
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        # Before Django checks other permissions: respond as if an object that the user can't see didn't exist.
        of_an_object = object_id is not None and self.has_view_permission(request)
        if of_an_object and self.get_object(request, unquote(str(object_id))) is None:
            raise Http404
        try:
            return super().changeform_view(request, object_id, *args, **kwargs)
        except IntegrityError:
            # Another request took the name between validation and save. The second validation reports it at the field.
            return super().changeform_view(request, object_id, *args, **kwargs)

    def history_view_title(self, request: HttpRequest, obj: Any) -> str:
        return f"History of {obj}"

    def revert_disabled(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request) or self.has_add_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return roles.allows(request.user, "view", self.model, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return roles.allows(request.user, "add", self.model)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not comes_from_file(obj) and roles.allows(request.user, "change", self.model, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not comes_from_file(obj) and roles.allows(request.user, "delete", self.model, obj)

    def has_view_history_or_change_history_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request)  # get_history_queryset limits it to what the user may see

    def get_history_queryset(
        self, request: HttpRequest, history_manager: Any, pk_name: str, object_id: Any
    ) -> "QuerySet[Any]":
        try:
            found = super().get_history_queryset(request, history_manager, pk_name, object_id)
        except ValueError:  # not a number
            raise Http404 from None
        seen = roles.visible_history(request.user, found, self.model)
        if not seen.exists():
            raise Http404
        return seen

    def get_historical_record_context_helper(
        self, request: HttpRequest, historical_record: Any
    ) -> Differences:
        return Differences(request.user, self.model, historical_record)

    def _get_obj_does_not_exist_redirect(self, request: HttpRequest, *args: Any) -> HttpResponseBase:
        # Django would redirect to the start page, with a message that repeats the requested ID.
        raise Http404

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Allow only the lookups that the list's own filters send.

        Django would allow any lookup on any field. A regular expression on SQLite runs in Python, and a user could
        guess a hidden value by comparing with it.
        """
        return lookup in {
            name for declared in self.get_list_filter(request) for name in self._parameters(declared)
        }

    def _parameters(self, declared: Any) -> set[str]:
        """Return the query parameters of a filter in `list_filter`."""
        if isinstance(declared, type):
            return {declared.parameter_name}  # type: ignore[attr-defined]
        path = declared if isinstance(declared, str) else declared[0]
        field: Any = get_fields_from_path(self.model, path)[-1]
        compared = f"{path}__{field.target_field.name}" if field.is_relation else path
        return {f"{compared}__exact", f"{path}__isnull"}

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        seen = request.POST.get("seen")
        outdated = obj is not None and seen is not None and seen != self._seen(request, obj)
        return type(form.__name__, (_OfThisMoment, form), {"request": request, "outdated": outdated})

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, Any, Any]:
        tree, counts, missing, protected = super().get_deleted_objects(objs, request)
        tree = _without_records(tree)
        of_file = [f"{obj}: comes from hub.yaml; remove it there" for obj in objs if comes_from_file(obj)]
        if of_file:
            return tree, counts, set(), [*protected, *of_file]
        return tree, counts, missing, protected


def _without_records(tree: list[Any]) -> list[Any]:
    """Return the tree of deleted objects without scrape records and statuses: some 120 lines per namespace."""
    return [
        _without_records(each) if isinstance(each, list) else each
        for each in tree
        if isinstance(each, list) or not str(each).startswith(("Scrape record: ", "Namespace status: "))
    ]


def comes_from_file(obj: Any) -> bool:
    return getattr(obj, "source", None) == Source.FILE
