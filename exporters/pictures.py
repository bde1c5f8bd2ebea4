"""Small SVG pictures made on the server: no script, and attributes instead of styles, as the CSP allows no inline style."""

from collections.abc import Sequence

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

WIDTH = 120
HEIGHT = 24
_OUTCOME_CLASSES = {"s": "ok", "p": "partial", "f": "bad"}


def sparkline(recent: Sequence[Sequence[object]], allowed_seconds: float) -> SafeString:
    """Return one bar a scrape, oldest first: its height is the duration against what was allowed, its class the outcome.

    `recent` holds [outcome's first letter, milliseconds] pairs.
    """
    if not recent:
        return mark_safe("")
    step = WIDTH / 40
    bars = []
    start = WIDTH - step * len(recent)
    for number, (outcome, milliseconds) in enumerate(recent):
        share = min(1.0, float(str(milliseconds)) / 1000 / allowed_seconds) if allowed_seconds > 0 else 1.0
        height = max(2.0, share * HEIGHT)
        bars.append(
            format_html(
                '<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>',
                _OUTCOME_CLASSES.get(str(outcome), "bad"),
                f"{start + number * step:.1f}",
                f"{HEIGHT - height:.1f}",
                f"{step * 0.8:.1f}",
                f"{height:.1f}",
            )
        )
    failed = sum(pair[0] != "s" for pair in recent)
    return format_html(
        '<svg class="sparkline" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}">{}</svg>',
        WIDTH,
        HEIGHT,
        WIDTH,
        HEIGHT,
        f"Last {len(recent)} scrapes: {failed} not whole",
        mark_safe("".join(bars)),  # noqa: S308 - each made by format_html above
    )


def share_bar(share: float, label: str) -> SafeString:
    """Return a bar that is filled to `share` (0 to 1); above 0.8 it warns."""
    clamped = min(1.0, max(0.0, share))
    return format_html(
        '<svg class="share {}" viewBox="0 0 100 8" width="100" height="8" role="img" aria-label="{}">'
        '<rect class="track" width="100" height="8" rx="2"/><rect class="fill" width="{}" height="8" rx="2"/></svg>',
        "warn" if clamped > 0.8 else "fine",
        label,
        f"{clamped * 100:.1f}",
    )
