"""The team filter of lists: links if there are few teams, an input with suggestions if there are many."""

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import PAGE_VAR
from django.db.models import QuerySet
from django.http import HttpRequest

from ..access import roles

# More links than this would fill the screen.
_MOST_LINKS = 20
# The most names in the datalist, which works without JavaScript. Users can type any other name in full.
_MOST_SUGGESTIONS = 1000


class TeamFilter(admin.SimpleListFilter):
    """Filters by the name of a team that the user can see."""

    title = "team"
    parameter_name = "team"
    template = "admin/exporters/team_filter.html"
    path = "team"  # the lookup from the model to its team

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        found = roles.teams(request.user).order_by("name").distinct().values_list("name", flat=True)
        return [(name, name) for name in found[:_MOST_SUGGESTIONS]]

    def has_output(self) -> bool:
        return len(self.lookup_choices) > 1 or bool(self.value())

    @property
    def has_many(self) -> bool:
        return len(self.lookup_choices) > _MOST_LINKS

    def choices(self, changelist: Any) -> Iterator[Any]:
        # The list's other search, order and filter parameters, which the form keeps.
        own = {self.parameter_name, PAGE_VAR}
        self.others = [(name, value) for name, value in changelist.params.items() if name not in own]
        return super().choices(changelist)

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        if not self.value():
            return queryset
        teams = roles.teams(request.user).filter(name=self.value()).values("pk")
        return queryset.filter(**{f"{self.path}__in": teams})


class MembersTeamFilter(TeamFilter):
    """Filters users by a team that they are members of."""

    path = "memberships__team"
