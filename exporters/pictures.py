"""Small SVG pictures made on the server. Attributes instead of styles: the CSP allows no inline style."""

from collections.abc import Sequence

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

WIDTH = 120
HEIGHT = 24
_OUTCOME_CLASSES = {"s": "ok", "p": "partial"}  # and bad


def sparkline(recent: Sequence[Sequence[object]], allowed_seconds: float) -> SafeString:
    """Return one bar a scrape, oldest first: its height is the duration against what was allowed.

    `recent` holds [outcome's first letter, milliseconds] pairs. One path a colour: a start page has a hundred of these.
    """
    if not recent:
        return mark_safe("")
    step = WIDTH / 40
    start = WIDTH - step * len(recent)
    paths: dict[str, list[str]] = {}
    for number, (outcome, milliseconds) in enumerate(recent):
        share = min(1.0, float(str(milliseconds)) / 1000 / allowed_seconds) if allowed_seconds > 0 else 1.0
        height = max(2.0, share * HEIGHT)
        paths.setdefault(_OUTCOME_CLASSES.get(str(outcome), "bad"), []).append(
            f"M{start + number * step:.1f} {HEIGHT}v-{height:.1f}h{step * 0.8:.1f}v{height:.1f}z"
        )
    failed = sum(pair[0] != "s" for pair in recent)
    bars = "".join(f'<path class="{name}" d="{"".join(bars)}"/>' for name, bars in paths.items())
    return format_html(
        '<svg class="sparkline" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}">{}</svg>',
        WIDTH,
        HEIGHT,
        WIDTH,
        HEIGHT,
        f"Last {len(recent)} scrapes: {failed} not whole"
        if failed
        else f"Last {len(recent)} scrapes: all whole",
        mark_safe(bars),  # noqa: S308 - made of numbers and the names above
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
