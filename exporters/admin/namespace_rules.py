"""The page for a namespace's rules, with a preview of their effect on its last read."""

from dataclasses import dataclass, replace
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern

from ..access import roles
from ..configuration.derivation import target as target_of
from ..configuration.label_rules import label_rules, rules_by_scope, usable
from ..configuration.targets import Target
from ..hub_yaml import rule_blocks
from ..models import LabelRule, Namespace, Source
from ..pages.rule_preview import MOST_ENTITIES, preview
from ..scraping import last_reading
from ..scraping.scrape import Result
from .base import HubAdmin
from .rule_rows import Rows, Scope, fingerprint

# The values of the page's `scope` parameter.
_SCOPES = ("namespace", "team", "hub")


class NamespaceRules(HubAdmin):
    """Adds the rules page to the namespace admin."""

    def get_urls(self) -> list[URLPattern]:
        own = self.page("<int:object_id>/rules/", self.rules_view, "namespace_rules")
        return [own, *super().get_urls()]

    def rules_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Show the rules and a preview of their effect. On POST, edit, import or save them."""
        visible = roles.visible(request.user, Namespace.objects.select_related("team", "credential"))
        namespace = get_object_or_404(visible, pk=object_id)
        scope = _scope(request, namespace)
        may_edit = _may_edit(request, scope)
        problem = ""
        pasted = str(request.POST.get("pasted", ""))
        # The fingerprint of the rules when the user opened the form, kept across previews.
        seen = str(request.POST.get("seen") or fingerprint(scope))
        if request.method == "POST":
            rows = Rows.of_post(scope, request.POST)
            what = str(request.POST.get("do", ""))
            if what == "import":
                try:
                    rows, pasted = rows.extended(rule_blocks.read(pasted)), ""
                except ValueError as error:
                    problem = str(error)
            if what == "save":
                if not may_edit:
                    raise PermissionDenied
                if seen != fingerprint(scope):
                    seen = fingerprint(scope)
                    problem = (
                        "Not saved: someone else has changed these rules in the meantime. Review their changes in "
                        "another window; saving again replaces them."
                    )
                elif rows.are_valid:
                    rows.save()
                    messages.success(request, "Rules saved. The next scrape applies them.")
                    return HttpResponseRedirect(request.get_full_path())
                else:
                    problem = rows.problem or "Not saved. Correct the marked fields."
        else:
            rows = Rows.of_stored(scope)
        stored = target_of(namespace)
        result = _reading(request, stored, namespace)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Label rules of {namespace.name}",
            "opts": self.model._meta,
            "original": namespace,
            "namespace": namespace,
            "scope": scope,
            "scopes": [(word, _word(word, namespace), word == scope.word) for word in _SCOPES],
            "may_edit": may_edit,
            "may_read": _may_read(request, namespace),
            "rows": rows,
            "pasted": pasted,
            "problem": problem or rows.problem,
            "seen": seen,
            "search": str(request.POST.get("search", "")),
            "only_changed": bool(request.POST.get("only_changed")),
            "most_entities": MOST_ENTITIES,
            **_applied(namespace, scope, rows, stored, result, request.POST),
        }
        name = "rule_preview.html" if request.headers.get("X-Preview") else "namespace_rules.html"
        return TemplateResponse(request, f"admin/exporters/{name}", context)


def _scope(request: HttpRequest, namespace: Namespace) -> Scope:
    match request.GET.get("scope"):
        case "team":
            return Scope("team", namespace.team, None)
        case "hub":
            return Scope("hub", None, None)
    return Scope("namespace", namespace.team, namespace)


def _word(scope: str, namespace: Namespace) -> str:
    if scope == "hub":
        return "All namespaces"
    return f"Team {namespace.team.name}" if scope == "team" else f"Namespace {namespace.name}"


def _may_edit(request: HttpRequest, scope: Scope) -> bool:
    if scope.is_too_large:
        return False
    if scope.team is None:
        return roles.is_platform_administrator(request.user)
    return roles.teams(request.user, roles.Role.EDITOR).filter(pk=scope.team.pk).exists()


def _may_read(request: HttpRequest, namespace: Namespace) -> bool:
    return roles.teams(request.user, roles.Role.EDITOR).filter(pk=namespace.team_id).exists()


def _reading(request: HttpRequest, target: Target, namespace: Namespace) -> Result | None:
    """Return the last result. If there is none, or the user requests it, read again (if the user may)."""
    result = last_reading.last(target)
    again = request.method == "POST" and request.POST.get("do") == "read"
    if (result is None or again) and _may_read(request, namespace):
        return last_reading.read(target)
    return result


@dataclass(frozen=True, slots=True)
class Applied:
    """One of the rules that apply to the namespace."""

    name: str  # scope and 1-based position
    rule: LabelRule
    edited: bool = False


def _all_rules(namespace: Namespace, scope: Scope, rows: Rows) -> list[Applied]:
    """Return the rules in the order in which they apply, with the form's rows in place of the stored rules."""
    stored = rules_by_scope()
    team = namespace.team_id
    found = []
    for word, key in (("hub", (None, None)), ("team", (team, None)), ("namespace", (team, namespace.pk))):
        rules = stored.get(key, ())
        if word == scope.word and not scope.is_too_large:
            rules = [rule for rule in rules if rule.source == Source.FILE]
        found += [Applied(f"{word} {number}", rule) for number, rule in enumerate(rules, 1)]
        if word == scope.word:
            numbered = enumerate(rows.forms, len(rules) + 1)
            found += [
                Applied(f"{word} {number}", form.instance, edited=True)
                for number, form in numbered
                if form.is_valid()
            ]
    return found


def _applied(
    namespace: Namespace, scope: Scope, rows: Rows, stored: Target, result: Result | None, options: QueryDict
) -> dict[str, Any]:
    """Return the template context for the rules and the preview of their effect."""
    rules = _all_rules(namespace, scope, rows)
    from_file = sum(each.name.startswith(scope.word) and not each.edited for each in rules)
    context: dict[str, Any] = {
        "others": [each for each in rules if not each.edited],
        "numbered": [
            (f"{scope.word} {number}", form) for number, form in enumerate(rows.forms, from_file + 1)
        ],
        "yaml": rule_blocks.write(rows.rules()),
        "result": result,
        "preview": None,
    }
    if result is not None and not rows.problem:
        snapshot = result.snapshot
        rules = [each for each in rules if usable([each.rule])]
        tried = replace(stored, rules=usable(each.rule for each in rules))
        context |= last_reading.context(result)
        context["preview"] = preview(
            snapshot,
            stored.groups,
            label_rules(stored, snapshot),
            label_rules(tried, snapshot),
            [each.name for each in rules],
            search=options.get("search", ""),
            only_changed="only_changed" in options,
        )
    return context
