"""Small SVG images rendered on the server. They use attributes, because the CSP allows no inline styles."""

from collections.abc import Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

WIDTH = 120
HEIGHT = 24
_OUTCOME_CLASSES = {"s": "ok", "p": "partial"}  # and bad


def sparkline(recent: Sequence[Sequence[object]], allowed_seconds: float) -> SafeString:
    """Return one bar per scrape, oldest first. A bar's height is the duration relative to the allowed time.

    `recent` has pairs of [outcome's first letter, milliseconds]. There is one path per color, because a start page
    shows a hundred of these images.
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
        f"Last {len(recent)} scrapes: {failed} incomplete"
        if failed
        else f"Last {len(recent)} scrapes: all complete",
        mark_safe(bars),  # noqa: S308 - made of numbers and the names above
    )


def share_bar(share: float, label: str) -> SafeString:
    """Return a bar filled to `share` (0 to 1), in the warning color above 0.8."""
    clamped = min(1.0, max(0.0, share))
    return format_html(
        '<svg class="share {}" viewBox="0 0 100 8" width="100" height="8" role="img" aria-label="{}">'
        '<rect class="track" width="100" height="8" rx="2"/><rect class="fill" width="{}" height="8" rx="2"/></svg>',
        "warn" if clamped > 0.8 else "fine",
        label,
        f"{clamped * 100:.1f}",
    )


_HISTORY_WIDTH = 720
_HISTORY_HEIGHT = 80


def history(values: Sequence[tuple[str, float, str]], most: float, label: str) -> SafeString:
    """Return one bar per (outcome, value, words), oldest first. A bar's height is the value relative to `most`.

    The words show on hover; `label` describes the whole image for screen readers.
    """
    if not values:
        return mark_safe("")
    step = _HISTORY_WIDTH / max(60, len(values))
    start = _HISTORY_WIDTH - step * len(values)
    bars = format_html_join(
        "",
        '<rect class="{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>',
        (
            (
                {"success": "ok", "partial": "partial"}.get(outcome, "bad"),
                f"{start + number * step:.1f}",
                f"{_HISTORY_HEIGHT - height:.1f}",
                f"{step * 0.8:.1f}",
                f"{height:.1f}",
                words,
            )
            for number, (outcome, value, words) in enumerate(values)
            for height in [max(2.0, min(1.0, value / most if most > 0 else 1.0) * _HISTORY_HEIGHT)]
        ),
    )
    return format_html(
        '<svg class="history" viewBox="0 0 {} {}" role="img" aria-label="{}">'
        '<line class="base" x1="0" x2="{}" y1="{}" y2="{}"/>{}</svg>',
        _HISTORY_WIDTH,
        _HISTORY_HEIGHT,
        label,
        _HISTORY_WIDTH,
        _HISTORY_HEIGHT,
        _HISTORY_HEIGHT,
        bars,
    )
