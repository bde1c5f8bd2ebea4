"""Form fields that Django lacks: secrets, labels and lists."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ..credentials.tidying import tidied
from .pending_secrets import HeldSecrets


@dataclass(frozen=True, slots=True)
class Entered:
    """The value of a secret input: new text, or the handle of text that was entered before."""

    text: str = ""
    handle: str = ""

    def __repr__(self) -> str:
        return "<Entered>"


class SecretInput(forms.Widget):
    """An input that is always rendered empty. A handle replaces text that was entered before: see `pending_secrets`."""

    def __init__(self, attrs: dict[str, Any] | None = None, rows: int = 4) -> None:
        super().__init__(
            {"rows": rows, "cols": 60, "autocomplete": "off", "spellcheck": "false", **(attrs or {})}
        )
        self.held: HeldSecrets | None = None  # set by the form, which has the session
        self.name = ""

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> Entered:
        return Entered(tidied(str(data.get(name) or "")), str(data.get(f"{name}_held") or ""))

    def value_omitted_from_data(self, data: Mapping[str, Any], files: Any, name: str) -> bool:
        return False  # a missing value means an empty one: the form decides which stored secrets to keep

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        final = self.build_attrs(self.attrs, attrs)
        area = format_html(
            '<textarea name="{}"{}></textarea>',
            name,
            forms.utils.flatatt(final),
        )
        handle = self._handle(name, value)
        if not handle:
            return area
        return format_html(
            '{}<input type="hidden" name="{}_held" value="{}"><p class="secret-held">'
            "What you entered is kept. Enter it again only to replace it.</p>",
            area,
            name,
            handle,
        )

    def _handle(self, name: str, value: Any) -> str:
        if not isinstance(value, Entered) or self.held is None:
            return ""
        if value.text:
            return self.held.hold(name, value.text)
        return value.handle if self.held.get(name, value.handle) else ""


class SecretField(forms.Field):
    """A field whose value is the text entered now or in an earlier attempt, or "" if there is none."""

    widget: Any = SecretInput

    def __init__(self, *, rows: int = 4, **kwargs: Any) -> None:
        super().__init__(required=False, widget=SecretInput(rows=rows), **kwargs)

    def clean(self, value: Entered) -> str:
        if value.text or not value.handle or self.widget.held is None:
            return value.text
        return str(self.widget.held.get(self.widget.name, value.handle))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return isinstance(data, Entered) and bool(data.text or data.handle)


class LabelsField(forms.CharField):
    """Target labels, one name=value per line."""

    widget = forms.Textarea(attrs={"rows": 4, "cols": 40, "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, dict):
            return "\n".join(f"{name}={text}" for name, text in sorted(value.items()))
        return value

    def to_python(self, value: Any) -> Any:
        labels: dict[str, str] = {}
        for line in str(value or "").splitlines():
            if not line.strip():
                continue
            name, found, text = (part.strip() for part in line.partition("="))
            if not found:
                raise ValidationError(f"“{line.strip()}” has no “=”. Enter one name=value per line.")
            if name in labels:
                raise ValidationError(f"“{name}” appears twice.")
            labels[name] = text
        return labels


class LinesField(forms.CharField):
    """A list of strings, one per line."""

    widget = forms.Textarea(attrs={"rows": 3, "cols": 50, "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return [line.strip() for line in str(value or "").splitlines() if line.strip()]


class LabelNamesField(forms.CharField):
    """Label names, separated by commas."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return [name.strip() for name in str(value or "").split(",") if name.strip()]
