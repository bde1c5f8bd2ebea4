"""Screens and inlines limited to the rows and choices that the user may see."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect, RelatedFieldWidgetWrapper
from django.db.models import QuerySet
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest

from ..access import roles
from ..models import Credential
from . import choices

if TYPE_CHECKING:
    from django.db.models import Model

    TabularInline = admin.TabularInline[Model, Model]
else:
    TabularInline = admin.TabularInline


class Scoped:
    """Limits the rows and choices of a page, or of an inline, to what access/roles.py allows the user."""

    model: Any
    autocomplete: type[AutocompleteSelect] = choices.AutocompleteOfAll

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        return roles.visible(request.user, super().get_queryset(request))  # type: ignore[misc]

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Keep only the add button next to a choice.

        The change, delete and view buttons would act on another object from within this object's form.
        """
        field = super().formfield_for_dbfield(db_field, request, **kwargs)  # type: ignore[misc]
        if field is not None and isinstance(field.widget, RelatedFieldWidgetWrapper):
            field.widget.can_change_related = False
            field.widget.can_delete_related = False
            field.widget.can_view_related = False
        return field

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        related = db_field.remote_field.model
        kwargs.setdefault("queryset", roles.selectable(request.user, self.model, related))
        if db_field.name == "team" and not roles.is_platform_administrator(request.user):
            # An object without a team would belong to the platform. Label rules may have a namespace instead.
            required = kwargs.setdefault("required", not hasattr(self.model, "namespace"))
            if required:
                # Users who can't leave the field empty don't need to know what an empty one means.
                kwargs.setdefault("help_text", db_field.help_text.partition(" Leave empty")[0])
            if required and kwargs["queryset"].count() == 1:
                kwargs.setdefault("initial", kwargs["queryset"].first())
        if related is Credential:
            kwargs.setdefault("form_class", choices.CredentialChoice)
            kwargs["queryset"] = kwargs["queryset"].select_related("team")
        if db_field.name not in self.get_autocomplete_fields(request):  # type: ignore[attr-defined]
            return super().formfield_for_foreignkey(db_field, request, **kwargs)  # type: ignore[misc]
        kwargs.setdefault("widget", self.autocomplete(db_field, self.admin_site))  # type: ignore[attr-defined]
        return choices.adapt(super().formfield_for_foreignkey(db_field, request, **kwargs))  # type: ignore[misc]

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        related = db_field.remote_field.model
        kwargs.setdefault("queryset", roles.selectable(request.user, self.model, related))
        if db_field.name not in self.get_autocomplete_fields(request):  # type: ignore[attr-defined]
            return super().formfield_for_manytomany(db_field, request, **kwargs)  # type: ignore[misc]
        widget = choices.AutocompleteMultiple(db_field, self.admin_site)  # type: ignore[attr-defined]
        kwargs.setdefault("widget", widget)
        return choices.adapt(super().formfield_for_manytomany(db_field, request, **kwargs))  # type: ignore[misc]


class _OwnRows(BaseInlineFormSet):  # type: ignore[type-arg]
    """Accepts only the inline's own rows.

    Django's formset skips a row of another team but rejects one that doesn't exist, which reveals whether it exists.
    """

    def add_fields(self, form: Any, index: int | None) -> None:
        super().add_fields(form, index)
        form.fields["id"].queryset = self.get_queryset()


class RowPermissions(TabularInline):
    """Base of inlines, whose permissions Django asks for with the object of the page."""

    def _allows(self, request: HttpRequest, action: str, parent: Any) -> bool:
        """Return whether the user may view, add, change or delete rows; without a parent, any rows at all.

        Nobody may, unless a subclass allows it.
        """
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._allows(request, "view", obj)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._allows(request, "add", obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._allows(request, "change", obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._allows(request, "delete", obj)


class TeamInline(Scoped, RowPermissions):
    """An inline on a team's page. The user's role in that team decides what it allows."""

    formset = _OwnRows
    # Repeating all choices in each row would be too much, and without JavaScript there are no new rows.
    autocomplete = choices.Autocomplete

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and isinstance(field.widget, RelatedFieldWidgetWrapper):
            field.widget.can_add_related = False  # one button in each row
        return field

    def _allows(self, request: HttpRequest, action: str, team: Any) -> bool:
        if team is None:  # Django checks for any access at all
            return roles.allows(request.user, action, self.model)
        return roles.allows_in(request.user, action, self.model, team)
