"""The page of all changes."""

from typing import Any

from django import forms
from django.http import HttpRequest
from django.template.response import TemplateResponse

from ..access import roles
from ..models import Team
from ..pages import change_log


class ChangesForm(forms.Form):
    """Filters for the changes to show. It offers and accepts only what the user may see."""

    q = forms.CharField(
        required=False, max_length=200, label="Find", widget=forms.TextInput(attrs={"type": "search"})
    )
    team = forms.ModelChoiceField(queryset=Team.objects.none(), required=False, empty_label="all")
    kind = forms.ChoiceField(required=False)
    # A text input: there may be thousands of users, and the page shouldn't load them all.
    user = forms.CharField(
        required=False,
        max_length=150,
        label="By",
        widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": "username"}),
    )

    def __init__(self, data: Any, user: roles.User) -> None:
        super().__init__(data)
        fields: dict[str, Any] = self.fields
        fields["team"].queryset = roles.teams(user).order_by("name").distinct()
        kinds = [(key, str(model._meta.verbose_name)) for key, model in change_log.kinds(user).items()]
        fields["kind"].choices = [("", "all"), *kinds]

    def wanted(self) -> change_log.Wanted:
        """Return the filters. Call it on a valid form."""
        return change_log.Wanted(
            search=self.cleaned_data["q"],
            team=self.cleaned_data["team"],
            kind=self.cleaned_data["kind"],
            username=self.cleaned_data["user"],
        )


def changes(request: HttpRequest, context: dict[str, Any]) -> TemplateResponse:
    """Show the changes in the user's teams, newest first. `context` is the admin's."""
    form = ChangesForm(request.GET, request.user)
    page = change_log.page(request.user, form.wanted(), request.GET.get("page")) if form.is_valid() else None
    filtered = any(request.GET.get(name) for name in form.fields)
    return TemplateResponse(
        request,
        "admin/changes.html",
        {**context, "title": "Changes", "form": form, "page": page, "filtered": filtered},
    )
