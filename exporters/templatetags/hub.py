"""{% load hub %}: times, amounts, state chips, the navigation."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import wraps
from typing import Any, TypeVar

from django import template
from django.apps import apps
from django.conf import settings
from django.db.models.options import Options
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from .. import formatting
from ..models import NamespaceStatus, ScrapeRecord
from ..pages import charts, degraded, entity_table, wording
from ..pages.dashboard import Row
from ..scraping.state import State
from ..telemetry.internal_errors import guarded

register = template.Library()
F = TypeVar("F", bound=Callable[..., Any])


def _shown(function: F) -> F:
    """Register a filter that shows ? and reports the error if it fails on a value."""

    @wraps(function)
    def show(*args: Any, **kwargs: Any) -> Any:
        return guarded(lambda: function(*args, **kwargs), lambda: "?")

    register.filter(function.__name__, show)
    return function


# The order of the navigation: pages used daily come first. Unlisted pages follow in Django's order.
_ORDER = (
    "Namespace",
    "Credential",
    "LabelRule",
    "ScrapeToken",
    "WallLink",
    "Team",
    "Membership",
    "User",
)
# Pages without a model: the text and the URL's name.
_PAGES: tuple[tuple[str, str], ...] = (("Changes", "admin:changes"),)
# The navigation leaves out the models of other packages.
_APPS = ("exporters", "auth")


@register.simple_tag
def degraded_sentences() -> list[str]:
    return degraded.sentences()


@_shown
def ago(moment: datetime | None, missing: str = "never") -> SafeString:
    # A missing template variable is an empty string here.
    return formatting.time_tag(moment or None, missing=missing)


@_shown
def lasting(moment: datetime) -> SafeString:
    """Return the time elapsed since `moment`."""
    return formatting.lasting_tag(moment)


@_shown
def seconds(value: float | None) -> str:
    return formatting.seconds_text(value)


@_shown
def thousands(value: float | None) -> str:
    return formatting.thousands(value)


@_shown
def state_class(state: State) -> str:
    """Return the CSS class of a state."""
    return "state-" + state.replace(" ", "-")


@_shown
def chip(state: State) -> SafeString:
    return format_html('<span class="chip {}">{}</span>', state_class(state), state)


@_shown
def sparkline(status: NamespaceStatus | None) -> SafeString | str:
    return charts.sparkline(status.recent, status.allowed_seconds) if status is not None else ""


@_shown
def duration_bar(row: Row) -> SafeString:
    """Return a bar with the last scrape's share of the time allowed."""
    return charts.share_bar(row.share, f"{row.share:.0%} of the time allowed")


@_shown
def what_next(opts: "Options[Any]") -> str:
    """Return what to do if there is no object of this model yet."""
    return wording.EMPTY.get(str(opts.model_name), "")


@_shown
def what_stops(opts: "Options[Any]") -> str:
    """Return what stops working if an object of this model is deleted."""
    return wording.STOPS.get(str(opts.model_name), "")


@_shown
def article(noun: str) -> str:
    """Return the noun with its article: a namespace, an entity, a user."""
    return f"{'an' if noun[:1] in 'aeio' else 'a'} {noun}"


@_shown
def totals(counts: Iterable[tuple[str, int]]) -> str:
    """Return the number of objects per plural name of their kind, for example: 1 namespace, 3 label rules."""
    singular = {model._meta.verbose_name_plural: model._meta.verbose_name for model in apps.get_models()}
    return ", ".join(
        f"{number:,} {singular.get(name, name) if number == 1 else name}" for name, number in counts
    )


@register.simple_tag
def hub_version() -> str:
    return settings.HUB_VERSION


@register.simple_tag(takes_context=True)
def navigation(context: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the pages that the user may open, according to the admin's each_context, the most used first."""
    shown = [app for app in context.get("available_apps", ()) if app["app_label"] in _APPS]
    models = sorted((model for app in shown for model in app["models"]), key=_place)
    screens = [(model["name"], model["admin_url"]) for model in models if model.get("admin_url")]
    screens += [(text, reverse(name)) for text, name in _PAGES]
    path = context["request"].path
    return [{"name": name, "url": url, "current": path.startswith(url)} for name, url in screens]


def _place(model: dict[str, Any]) -> int:
    name = model["object_name"]
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)


@_shown
def of_unix(seconds: float | None) -> datetime | None:
    """Return a datetime for Unix seconds, such as the times of an entity."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


@_shown
def size_bar(row: entity_table.Row) -> SafeString | str:
    """Return a bar with an entity's share of its maximum size."""
    if not row.max_size_bytes or row.size_bytes is None:
        return ""
    return charts.share_bar(row.share, f"{row.share:.0%} full")


@_shown
def most_allowed(records: Sequence[ScrapeRecord]) -> float:
    """Return the maximum of the scale of `durations`, in seconds."""
    return max((record.allowed_seconds for record in records), default=0.0)


@_shown
def most_series(records: Sequence[ScrapeRecord]) -> int:
    """Return the maximum of the scale of `series_history`."""
    return max((record.series for record in records), default=0)


@_shown
def durations(records: Sequence[ScrapeRecord]) -> SafeString:
    """Return a chart of the scrapes' durations. `records` has the newest first."""
    most = most_allowed(records)
    return charts.history(
        [
            (
                record.outcome,
                record.duration_seconds,
                f"{record.at:%H:%M:%S} UTC: {record.outcome}, {formatting.seconds_text(record.duration_seconds)}",
            )
            for record in reversed(records)
        ],
        most,
        f"Durations of the last {len(records)} scrapes against {formatting.seconds_text(most)} allowed; "
        f"{sum(record.outcome != 'success' for record in records)} incomplete",
    )


@_shown
def series_history(records: Sequence[ScrapeRecord]) -> SafeString:
    """Return a chart of the scrapes' series counts. `records` has the newest first."""
    most = most_series(records)
    return charts.history(
        [
            (record.outcome, record.series, f"{record.at:%H:%M:%S} UTC: {record.series} series")
            for record in reversed(records)
        ],
        most,
        f"Series of the last {len(records)} scrapes (peak {most})",
    )
