"""The page for hub.yaml: preview the changes, then apply them. For platform administrators: the file spans teams."""

import hashlib
import re
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters

from .. import hub_yaml
from ..access import roles
from ..credentials.redaction import redacted
from .base import HubAdmin

# A secret entered where a reference belongs. Such a file is rejected, and may not even be valid YAML. _LINE matches a
# key whose value may continue on lines that are indented more than the key, such as a certificate. _INLINE_SECRET
# matches a value within a line: quoted, in braces, or up to the character that ends it.
_KEY = r"""["']?(?:(?:spare_)?(?:secret|certificate_password)|token)["']?\s*:[ \t]*"""
_REFERENCE = r"""\s*\{?\s*["']?(?:env|file|stored)["']?\s*:"""
_LINE = re.compile(rf"""([ \t]*(?:-[ \t]+)*){_KEY}(?!{_REFERENCE})""")
_INLINE_SECRET = re.compile(
    rf"""(\b{_KEY})(?!{_REFERENCE})(?:"[^"]*"?|'[^']*'?|\{{[^}}\n]*|[^\s{{"'][^\n,}}\]]*)"""
)
# A value that isn't a variable's name may be the secret itself.
_NO_VARIABLE = re.compile(r"""(\benv["']?[ \t]*:)(?![ \t]*["']?\w+["']?[ \t]*(?:[},#\n]|$))[^\n,}]+""")
_INSTEAD = "(use a reference instead of the secret)"


class ImportForm(forms.Form):
    use_required_attribute = False

    file = forms.FileField(required=False, help_text="Takes precedence over pasted text.")
    text = forms.CharField(
        required=False,
        strip=False,
        label="Or paste its text",
        widget=forms.Textarea(attrs={"rows": 14, "spellcheck": "false"}),
        help_text="Secrets must be references: secret: {env: NAME} or {file: PATH}.",
    )
    prune = forms.BooleanField(
        required=False,
        label="Delete objects from earlier files that this file no longer lists",
    )

    def clean_file(self) -> str:
        uploaded: Any = self.cleaned_data.get("file")
        if uploaded is None:
            return ""
        try:
            return str(uploaded.read().decode("utf-8"))
        except UnicodeDecodeError:
            raise forms.ValidationError("This file is not UTF-8 text.") from None

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        cleaned["text"] = cleaned.get("file") or cleaned.get("text") or ""
        if not cleaned["text"].strip() and not self.errors:
            self.add_error("text", "Choose a file or paste its text.")
        return cleaned


class HubYaml(HubAdmin):
    """Adds the hub.yaml page to the namespace admin."""

    def get_urls(self) -> list[URLPattern]:
        return [self.page("import/", self.import_view, "import"), *super().get_urls()]

    @method_decorator(sensitive_post_parameters("text"))
    def import_view(self, request: HttpRequest) -> HttpResponseBase:
        """Show the changes that a file would make, then apply them. `?export` returns the stored configuration."""
        if not roles.is_platform_administrator(request.user):
            raise PermissionDenied
        if "export" in request.GET:
            return HttpResponse(
                hub_yaml.export(),
                content_type="application/yaml; charset=utf-8",
                headers={
                    "Content-Disposition": 'attachment; filename="hub.yaml"',
                    "Cache-Control": "no-store",
                },
            )
        form = ImportForm(request.POST, request.FILES) if request.method == "POST" else ImportForm()
        planned: hub_yaml.Plan | None = None
        if request.method == "POST" and form.is_valid():
            planned = hub_yaml.plan(form.cleaned_data["text"], prune=form.cleaned_data["prune"])
            if request.POST.get("do") == "apply" and not planned.errors:
                if request.POST.get("seen") == _fingerprint(planned):
                    return self._applied(request, planned)
                self.message_user(
                    request,
                    "Nothing was applied: the configuration has changed in the meantime. Review the changes again.",
                    messages.WARNING,
                )
            # A file input can't be prefilled, so an uploaded file is shown as text.
            text = _without_secrets(planned.text) if planned.errors else planned.text
            form = ImportForm({"text": text, "prune": planned.prune})
        context = {
            **self.admin_site.each_context(request),
            "title": "Import hub.yaml",
            "opts": self.opts,
            "form": form,
            "plan": planned,
            "seen": _fingerprint(planned) if planned else "",
        }
        return TemplateResponse(request, "admin/exporters/import.html", context)

    def _applied(self, request: HttpRequest, planned: hub_yaml.Plan) -> HttpResponseBase:
        try:
            done = hub_yaml.apply(planned)
        except (hub_yaml.PlanOutdatedError, hub_yaml.ConfigError) as error:
            self.message_user(request, f"Nothing was applied. {error}", messages.ERROR)
        else:
            count = len(done.changes)
            objects = "1 object" if count == 1 else f"{count} objects"
            self.message_user(request, f"Applied: {objects} changed.", messages.SUCCESS)
        return HttpResponseRedirect(request.path)


def _without_secrets(text: str) -> str:
    """Return the text of a rejected file without the secrets entered in place of references."""
    lines: list[str] = []
    column = -1  # of the key whose value continues, -1 outside of a value
    for number, line in enumerate(every := text.split("\n")):
        if column >= 0 and (not line.strip() or len(line) - len(line.lstrip()) > column):
            continue
        found = _LINE.match("\n".join(every[number : number + 2]))
        column = len(found[1]) if found else -1
        lines.append(line[: found.end()] + _INSTEAD if found and line[found.end() :].strip() else line)
    told = _INLINE_SECRET.sub(rf"\1{_INSTEAD}", "\n".join(lines))
    return redacted(_NO_VARIABLE.sub(rf"\1 {_INSTEAD}", told))


def _fingerprint(planned: hub_yaml.Plan) -> str:
    """Return a hash of the planned changes, so that only changes that the user has seen are applied."""
    return hashlib.sha256("\n".join(map(str, planned.changes)).encode()).hexdigest()
