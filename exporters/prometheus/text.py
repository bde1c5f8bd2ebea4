"""The exposition formats: to the byte what prometheus_client renders, several times faster.

prometheus_client stays the authority: its own code renders every family that holds more than plain gauges with ordinary
names. The fast path is for the rest, which is all that a scrape has: an entity's labels are written once and not once
for each of its samples.
"""

import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from . import negotiation

# From here on Go, and so Prometheus, writes a number with an exponent.
_EXPONENT_FROM = 1_000_000
_LEGACY_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
_EOF = b"# EOF\n"
_number: Callable[[float], str] = floatToGoString
# Fast and, on an exposition, within some percent of the size that level 9 reaches.
_GZIP_LEVEL = 4
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Format:
    """A format of answers; `encode` renders a whole registry in it."""

    media_type: str
    version: str
    escaping: str
    encode: Callable[[Any], bytes]

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters that a range of an Accept header may name."""
        return {"version": self.version, "escaping": self.escaping, "charset": "utf-8"}

    @property
    def openmetrics(self) -> bool:
        return self.media_type == "application/openmetrics-text"

    @property
    def content_type(self) -> str:
        # Version 0.0.4 is older than schemes of escaping.
        escaping = "" if self.version == "0.0.4" else f"; escaping={self.escaping}"
        return f"{self.media_type}; version={self.version}; charset=utf-8{escaping}"


# What Prometheus asks for unless told otherwise; without a name it means underscores. Both leave the hub's names
# as they are. The schemes dots and values rename them, and prometheus_client renders counters wrongly in the latter.
_ESCAPINGS = (openmetrics.UNDERSCORES, openmetrics.ALLOWUTF8)
# The first is for those who ask for nothing that the hub has.
FORMATS = (
    Format("text/plain", "0.0.4", openmetrics.UNDERSCORES, generate_latest),
    *(
        Format(
            "application/openmetrics-text",
            "1.0.0",
            escaping,
            partial(openmetrics.generate_latest, escaping=escaping, version="1.0.0"),
        )
        for escaping in _ESCAPINGS
    ),
    *(
        Format("text/plain", "1.0.0", escaping, partial(generate_latest, escaping=escaping))
        for escaping in _ESCAPINGS
    ),
)


@lru_cache(maxsize=32)  # the Prometheus servers of one hub send a few different ones
def negotiate(accept: str) -> Format:
    """Return the format for an Accept header, whatever it holds."""
    return negotiation.preferred(accept, FORMATS) or FORMATS[0]


def render(families: Iterable[Metric], answer_format: Format) -> bytes:
    """Return the exposition of the families, in their order."""
    # Held until the end: label dicts are told apart by their address.
    held = list(families)
    labels: dict[int, str] = {}
    numbers: dict[float, str] = {}
    pieces: list[bytes] = []
    for family in held:
        text = _fast(family, answer_format.openmetrics, labels, numbers)
        pieces.append(_stock(family, answer_format) if text is None else text.encode())
    if answer_format.openmetrics:
        pieces.append(_EOF)
    return b"".join(pieces)


def compress(body: bytes) -> bytes:
    """Return the body as gzip."""
    compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    return compressor.compress(body) + compressor.flush()


class _One(Collector):
    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        return [self._family]


def _stock(family: Metric, answer_format: Format) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_One(family))
    body = answer_format.encode(registry)
    return body.removesuffix(_EOF) if answer_format.openmetrics else body


def _fast(
    family: Metric, in_openmetrics: bool, labels: dict[int, str], numbers: dict[float, str]
) -> str | None:
    """Return the family's text, None when it holds anything that prometheus_client treats in a special way."""
    name = family.name
    if family.type != "gauge" or not _LEGACY_NAME.match(name):
        return None
    help_text = family.documentation.replace("\\", r"\\").replace("\n", r"\n")
    if in_openmetrics:
        help_text = help_text.replace('"', r"\"")
    lines = [f"# HELP {name} {help_text}\n# TYPE {name} gauge\n"]
    if in_openmetrics and family.unit:
        lines.append(f"# UNIT {name} {family.unit}\n")
    append = lines.append
    for sample_name, sample_labels, value, timestamp, exemplar, native_histogram in family.samples:
        if (
            sample_name != name
            or timestamp is not None
            or exemplar is not None
            or native_histogram is not None
        ):
            return None
        text = labels.get(id(sample_labels))
        if text is None:
            text = _labels(sample_labels)
            if text is None:
                return None
            labels[id(sample_labels)] = text
        if type(value) is int and -_EXPONENT_FROM < value < _EXPONENT_FROM:
            number = f"{value}.0"
        else:
            # Zero has two faces (0.0 and -0.0) that are equal, and NaN is not equal to itself: neither is kept.
            kept = numbers.get(value) if value else None
            number = _number(value) if kept is None else kept
            if kept is None and value and value == value:
                numbers[value] = number
        append(f"{name}{text} {number}\n")
    return "".join(lines)


def _labels(labels: dict[str, str]) -> str | None:
    if not labels:
        return ""
    parts = []
    for name, value in sorted(labels.items()):
        if not _LEGACY_NAME.match(name):
            return None
        escaped = value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
        parts.append(f'{name}="{escaped}"')
    return "{" + ",".join(parts) + "}"
