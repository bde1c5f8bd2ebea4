"""Content negotiation of RFC 9110: parameters (5.6.6), weights (12.4.2), Accept (12.5.1) and Accept-Encoding (12.5.3).

Headers are untrusted input: nothing here raises, and a malformed element counts as absent.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

# A longer header counts as absent. Prometheus 3 sends about 350 characters.
MAX_HEADER_CHARACTERS = 4096

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's word for it
# A quoted string may contain commas. An unterminated one extends to the end of the header.
_ELEMENT = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.?)*(?:"|\Z))+', re.DOTALL)
_VALUE = re.compile(rf"[ \t]*({_TOKEN}(?:/{_TOKEN})?)[ \t]*(?=;|\Z)")
_PARAMETER = re.compile(
    rf';[ \t]*(?:({_TOKEN})[ \t]*=[ \t]*(?:({_TOKEN})|"((?:[^"\\]|\\.)*)")[ \t]*)?(?=;|\Z)', re.DOTALL
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_WEIGHT = re.compile(r"0(?:\.[0-9]*)?|1(?:\.0*)?")


@dataclass(frozen=True, slots=True)
class Element:
    """One element of Accept or Accept-Encoding. Its value and its parameters' names are in lower case."""

    value: str
    parameters: Mapping[str, str]
    weight: float  # 0 to 1


class Offer(Protocol):
    """A format in which a response can be sent."""

    @property
    def media_type(self) -> str:
        """Type and subtype in lower case."""
        ...

    @property
    def parameters(self) -> Mapping[str, str]:
        """The values by name, both in lower case."""
        ...


O = TypeVar("O", bound=Offer)  # noqa: E741


def elements(header: str) -> Iterator[Element]:
    """Yield the well-formed elements of a header; none if it is longer than MAX_HEADER_CHARACTERS."""
    if len(header) > MAX_HEADER_CHARACTERS:
        return
    for found in _ELEMENT.finditer(header):
        element = _element(found[0])
        if element is not None:
            yield element


def preferred(accept: str, offers: Sequence[O]) -> O | None:
    """Return the offer that an Accept header prefers; None if it accepts none of them.

    The weight of an offer is that of the most specific range that matches it. Between offers of the same weight the
    more specific range wins, then the range that comes first in the header, then the offer that comes first.
    """
    ranges = list(enumerate(elements(accept)))
    best: O | None = None
    best_rank = (0.0, 0, 0)
    for offer in offers:
        matching = [
            (specificity, -position, element.weight)
            for position, element in ranges
            if (specificity := _specificity(element, offer)) is not None
        ]
        if not matching:
            continue
        specificity, position, weight = max(matching)
        rank = (weight, specificity, position)
        if weight > 0 and (best is None or rank > best_rank):
            best, best_rank = offer, rank
    return best


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether an Accept-Encoding header weighs gzip at least as high as an uncompressed response."""
    weights: dict[str, float] = {}
    for element in elements(accept_encoding):
        coding = "gzip" if element.value == "x-gzip" else element.value
        weights.setdefault(coding, element.weight)
    gzip = weights.get("gzip", weights.get("*", 0.0))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def _element(text: str) -> Element | None:
    value = _VALUE.match(text)
    if value is None:
        return None
    parameters: dict[str, str] = {}
    position = value.end()
    while position < len(text):
        found = _PARAMETER.match(text, position)
        if found is None:
            return None
        name, token, quoted = found.groups()
        if name:
            parameters[name.lower()] = token if token is not None else _ESCAPED.sub(r"\1", quoted)
        position = found.end()
    weight = parameters.pop("q", "1")
    if not _WEIGHT.fullmatch(weight):
        return None
    return Element(value[1].lower(), parameters, float(weight))


def _specificity(element: Element, offer: Offer) -> int | None:
    """Return how specific a range that matches the offer is; None if it doesn't match."""
    if element.value == offer.media_type:
        specificity = 2
    elif element.value == offer.media_type.partition("/")[0] + "/*":
        specificity = 1
    elif element.value == "*/*":
        specificity = 0
    else:
        return None
    for name, value in element.parameters.items():
        if offer.parameters.get(name) != value.lower():
            return None
    return specificity + len(element.parameters)
