"""Widgets for choosing a related object: autocomplete or, without JavaScript, a list or an input for its name."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.admin.widgets import AutocompleteSelect, AutocompleteSelectMultiple
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ..pages.numbers import whole_number

# The most choices rendered into the page for browsers without JavaScript. More would slow it down for all others.
_MOST_CHOICES = 100
_SUFFIX = "-named"
_NOT_FOUND = (
    "Select a valid choice. %(value)s doesn't exist, or several have this name. In that case, add the team, as in "
    "payments/manage."
)

if TYPE_CHECKING:
    _Field = forms.ModelChoiceField[Any]
else:
    _Field = forms.ModelChoiceField


class CredentialChoice(_Field):
    """A choice of credentials that shows their teams, because two teams may use the same name."""

    def label_from_instance(self, obj: Any) -> str:
        return str(obj.name_with_team)


class _Looked:
    """Accepts the primary key of a choice, or its name from the input that browsers without JavaScript show.

    A name that doesn't match exactly one choice is passed to the field in quotation marks. The field rejects it, and
    the input shows it again.
    """

    def optgroups(self, name: str, value: list[Any], attr: Any = None) -> Any:
        # Django would query with a value that isn't a number, which ends in a 500.
        known = [each for each in value if whole_number(each) is not None]
        return super().optgroups(name, known, attr)  # type: ignore[misc]

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> Any:
        value = super().value_from_datadict(data, files, name)  # type: ignore[misc]
        lines = str(data.get(name + _SUFFIX) or "").splitlines()
        found = [self._number(line.strip()) for line in lines if line.strip()]
        if not found:
            return value
        multiple: bool = self.allow_multiple_selected  # type: ignore[attr-defined]
        return [*(value or ()), *found] if multiple else found[0]

    def _number(self, text: str) -> Any:
        """Return the primary key of the only choice with this name, otherwise the text in quotation marks."""
        queryset = self.choices.queryset  # type: ignore[attr-defined]
        model = queryset.model
        team, slash, name = text.rpartition("/")
        named = queryset.filter(**{getattr(model, "USERNAME_FIELD", "name"): name if slash else text})
        if slash and hasattr(model, "team"):
            named = named.filter(team__name=team)
        found = list(named.order_by().values_list("pk", flat=True).distinct()[:2])
        return found[0] if len(found) == 1 else f"“{text}”"


class _WithAllChoices(_Looked):
    """Renders all choices into the page, unless there are many, for browsers without JavaScript."""

    def optgroups(self, name: str, value: list[Any], attr: Any = None) -> Any:
        widget: Any = self
        groups = super().optgroups(name, value, attr)
        options = groups[0][1]
        there = {str(option["value"]) for option in options}
        if not there and not widget.allow_multiple_selected:
            # Otherwise a browser would preselect the first choice.
            options.append(widget.create_option(name, "", "", False, 0))
        for label, key in self._others(there):
            options.append(widget.create_option(name, key, label, False, len(options)))
        return groups

    def _others(self, there: Collection[str]) -> list[tuple[str, Any]]:
        choices: Any = self.choices  # type: ignore[attr-defined]
        found = {
            each.pk: choices.field.label_from_instance(each) for each in choices.queryset[: _MOST_CHOICES + 1]
        }
        if len(found) > _MOST_CHOICES:
            return []
        return sorted((label, key) for key, label in found.items() if str(key) not in there)

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        select: SafeString = super().render(name, value, attrs, renderer)  # type: ignore[misc]
        offered = self.choices.queryset.order_by().values("pk")  # type: ignore[attr-defined]
        if offered[: _MOST_CHOICES + 1].count() <= _MOST_CHOICES:
            return select
        given = value if isinstance(value, list | tuple) else [value]
        refused = [each.strip("“”") for each in given if isinstance(each, str) and each.startswith("“")]
        key = (attrs or {}).get("id", name) + _SUFFIX
        if self.allow_multiple_selected:  # type: ignore[attr-defined]
            words, box = (
                "Or enter exact names, one per line",
                '<textarea id="{}" name="{}" rows="4">{}</textarea>',
            )
        else:
            words, box = "Or enter the exact name", '<input type="text" id="{}" name="{}" value="{}">'
        return format_html(
            '{}<noscript><span class="by-name"><label for="{}">{}</label> {}</span></noscript>',
            select,
            key,
            words,
            format_html(box, key, name + _SUFFIX, "\n".join(refused)),
        )


class Autocomplete(_Looked, AutocompleteSelect):  # type: ignore[misc]
    """Autocomplete for table rows, which would otherwise each repeat all choices."""


class AutocompleteOfAll(_WithAllChoices, AutocompleteSelect):  # type: ignore[misc]
    """Autocomplete for a single choice."""


class AutocompleteMultiple(_WithAllChoices, AutocompleteSelectMultiple):  # type: ignore[misc]
    """Autocomplete for any number of choices."""


def adapt(field: Any) -> Any:
    """Make the field's errors include the rejected name; return the field."""
    for code in ("invalid_choice", "invalid_pk_value"):
        if code in field.error_messages:
            text = _NOT_FOUND.replace("%(value)s", "%(pk)s") if code == "invalid_pk_value" else _NOT_FOUND
            field.error_messages[code] = text
    return field
