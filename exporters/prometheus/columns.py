"""A family of gauges in two columns, labels and values, and its text.

A scrape of a large namespace has some 10,000 samples, a dozen per entity. Whole columns are processed in C. One Sample
object per sample would take several times as long to create and to write.
"""

import re
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

LEGACY_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")

# From this value on, Go, and therefore Prometheus, writes a number with an exponent.
_EXPONENT_FROM = 1_000_000
_number: Callable[[float], str] = floatToGoString
# Unix seconds of 2001 to 2096 have ten digits, and their floats are less than a microsecond apart. The shortest form of
# a whole number of microseconds is therefore its digits: sixteen, without trailing zeros.
_FIRST_SECOND, _LAST_SECOND = 1e9, 4e9

Labels = dict[str, str]


class ColumnFamily(GaugeMetricFamily):
    """Gauges with ordinary names and without timestamps; no two with the same labels.

    `samples`, which prometheus_client's own code reads, are created on first access.
    """

    def __init__(self, name: str, help_text: str, labels: Sequence[Labels], values: Sequence[float]) -> None:
        """`labels` and `values` have one item for each sample. No value may be -0.0, which equals 0."""
        super().__init__(name, help_text)
        del self.samples
        self.labels = labels
        self.values = values

    @cached_property
    def samples(self) -> list[Sample]:  # type: ignore[override]
        return [
            Sample(self.name, labels, value) for labels, value in zip(self.labels, self.values, strict=True)
        ]


class Writer:
    """Writes the samples of one exposition; labels that families share are formatted once."""

    def __init__(self) -> None:
        # By address: the families of an exposition share columns of labels, and the caller keeps all of them alive.
        self._texts: dict[int, list[str] | None] = {}
        self._ends = _Ends()

    def lines(self, family: ColumnFamily) -> str | None:
        """Return the lines of the family's samples; None if a label has no ordinary name."""
        key = id(family.labels)
        if key not in self._texts:
            self._texts[key] = labels_of_all(family.labels)
        texts = self._texts[key]
        if texts is None:
            return None
        if not texts:
            return ""
        name = family.name
        ends = map(self._ends.__getitem__, family.values)
        return name + name.join([text + end for text, end in zip(texts, ends, strict=True)])


class _Ends(dict[float, str]):
    """The end of a sample's line: a space, the value as Go writes it, a line feed."""

    def __missing__(self, value: float) -> str:
        end = self[value] = f" {number(value)}\n"
        return end


def number(value: float) -> str:
    """Return a number as prometheus_client writes it."""
    if type(value) is int:
        return f"{value}.0" if -_EXPONENT_FROM < value < _EXPONENT_FROM else _number(value)
    if _FIRST_SECOND <= value < _LAST_SECOND:
        microseconds = round(value * 1e6)
        if microseconds / 1e6 == value:
            digits = str(microseconds)
            if digits_behind := digits[1:].rstrip("0"):
                return f"{digits[0]}.{digits_behind}e+09"
    return _number(value)


def labels_of_all(column: Sequence[Labels]) -> list[str] | None:
    """Return the text of each item's labels; None if one has no ordinary name."""
    kinds = set(map(tuple, column))
    if len(kinds) == 1 and (names := kinds.pop()):
        made = _template(names)
        if made is None:
            return None
        template, pick = made
        values = list(map(pick, column))
        if not _needs_escapes("".join(values if len(names) == 1 else chain.from_iterable(values))):
            return list(map(template.__mod__, values))
    texts = []
    for labels in column:
        text = labels_text(labels)
        if text is None:
            return None
        texts.append(text)
    return texts


def labels_text(labels: Labels) -> str | None:
    """Return labels as they follow a sample's name; None if one has no ordinary name."""
    if not labels:
        return ""
    made = _template(tuple(labels))
    if made is None:
        return None
    template, pick = made
    values = pick(labels)
    if len(labels) == 1:
        return template % _escaped(values)
    return template % tuple(map(_escaped, values))


@lru_cache(maxsize=1024)
def _template(names: tuple[str, ...]) -> tuple[str, Callable[[Labels], Any]] | None:
    """Return the text of labels with these names, with %s for the values, and a function that picks the values."""
    if not all(map(LEGACY_NAME.match, names)):
        return None
    ordered = sorted(names)
    return "{" + ",".join(f'{name}="%s"' for name in ordered) + "}", itemgetter(*ordered)


def _needs_escapes(text: str) -> bool:
    return "\\" in text or '"' in text or "\n" in text


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
