"""Forms that offer only what the user may choose, and keep stored references that the user can't see."""

from typing import Any

from django import forms


class KeepsHidden(forms.ModelForm):  # type: ignore[type-arg]
    """A form that keeps stored references that are not among its choices.

    The choices are limited to the user's teams. The page doesn't show objects of other teams, so the browser doesn't
    send them back. Without this form, an unrelated change would drop them.
    """

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.instance.pk:
            return cleaned
        for name, field in self.fields.items():
            if name not in cleaned or not isinstance(field, forms.ModelChoiceField):
                continue
            offered: Any = field.queryset
            stored = getattr(self.instance, name)
            if isinstance(field, forms.ModelMultipleChoiceField):
                hidden = stored.exclude(pk__in=offered.values("pk"))
                cleaned[name] = [*cleaned[name], *hidden]
            elif cleaned[name] is None and stored and not offered.filter(pk=stored.pk).exists():
                cleaned[name] = stored
        return cleaned
