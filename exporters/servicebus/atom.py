"""Parse one page of a management feed (Atom XML) into entities.

A page's text is read in one of two ways that agree: by the scanner, which accepts what the service's serializer writes,
and otherwise with ElementTree. This module converts the texts of both.
"""

import codecs
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar
from urllib.parse import parse_qs, urlsplit

from . import element_tree, values
from .element_tree import ATOM, DESCRIPTION, malformed
from .entities import Counts, NamespaceInfo, Queue, Subscription, Topic
from .entity_fields import COUNT_NAMES, NOT_FOUND_TITLE, QUEUE, SUBSCRIPTION, TOPIC, Shape, Texts
from .errors import Reason, ServiceBusError
from .scanner import scan

E = TypeVar("E")

_WHITESPACE = " \t\r\n"  # XML's


@dataclass(frozen=True, slots=True)
class Page(Generic[E]):
    """A page of a listing."""

    entities: list[E]
    next_skip: int | None  # `$skip` of the next page; None on the last one
    characters: int  # of names and of texts that users entered, which can be long


def parse_queues(body: bytes) -> Page[Queue]:
    """Return the queues of a page, or of a single queue's entry. Raises ServiceBusError (malformed, not_found)."""
    return _page(body, QUEUE, Queue)


def parse_topics(body: bytes) -> Page[Topic]:
    """Return the topics of a page, or of a single topic's entry. Raises ServiceBusError (malformed, not_found)."""
    return _page(body, TOPIC, Topic)


def parse_subscriptions(body: bytes, topic_name: str) -> Page[Subscription]:
    """Return the subscriptions of a page. Raises ServiceBusError (malformed, not_found)."""
    return _page(body, SUBSCRIPTION, partial(Subscription, topic_name))


def kind_of_entry(body: bytes) -> str | None:
    """Return `queue` or `topic` for the entry of one entity, None for anything else.

    Raises ServiceBusError (malformed).
    """
    root = element_tree.parse(_text(body))
    for kind, shape in (("queue", QUEUE), ("topic", TOPIC)):
        if root.find(f"{ATOM}content/{DESCRIPTION}{shape.element}") is not None:
            return kind
    return None


def parse_namespace_info(body: bytes) -> NamespaceInfo:
    """Return the contents of `$namespaceinfo`. Raises ServiceBusError (malformed, not_found)."""
    root = element_tree.parse(_text(body))
    description = root.find(f"{ATOM}content/{DESCRIPTION}NamespaceInfo")
    if description is None and root.findtext(f"{ATOM}title") == NOT_FOUND_TITLE:
        raise ServiceBusError(Reason.NOT_FOUND, "This endpoint has no $namespaceinfo.")
    if description is None:
        raise malformed("contains no NamespaceInfo")
    try:
        name = description.findtext(f"{DESCRIPTION}Name")
        return NamespaceInfo(
            name=values.name(name) if name else "",
            sku=values.word(description.findtext(f"{DESCRIPTION}MessagingSKU")),
            messaging_units=values.integer(description.findtext(f"{DESCRIPTION}MessagingUnits")),
        )
    except ValueError:
        raise malformed("has a value that can't be read") from None


def _page(body: bytes, shape: Shape, make: Callable[..., E]) -> Page[E]:
    text = _text(body)
    scanned = scan(text, shape)
    if scanned is None:
        root = element_tree.parse(text)
        scanned = element_tree.read_entries(root, shape), root
    entries, feed = scanned
    next_skip = _next_skip(feed)
    try:
        entities, characters = _entities(entries, shape, make)
    except (ValueError, OverflowError):
        # The message doesn't name the value: an entry can hold keys, and no part of a body may leak.
        raise malformed("has an entity with a value that can't be read") from None
    return Page(entities, next_skip, characters)


def _entities(entries: list[Texts], shape: Shape, make: Callable[..., E]) -> tuple[list[E], int]:
    """Return the entities, and how many characters their names and the texts that users entered have.

    Raises ValueError or OverflowError for a value that can't be read.
    """
    if not entries:
        return [], 0
    # Column by column, so that the loops run in C.
    columns = list(zip(*entries, strict=True))
    names = map(values.name, columns[0])
    status, *others = [
        list(map(convert, column)) for convert, column in zip(shape.converters, columns[1:], strict=False)
    ]
    entities = list(map(make, names, status, _counts(columns[-len(COUNT_NAMES) :]), *others))
    return entities, sum(sum(map(len, filter(None, columns[place]))) for place in shape.free)


def _counts(columns: list[tuple[str | None, ...]]) -> list[Counts | None]:
    """Return each entity's counts; None if one of them is missing, because their total would be wrong."""
    counts = [list(map(values.integer, column)) for column in columns]
    if not any(None in column for column in counts):
        return list(map(Counts, *counts))
    return [None if None in each else Counts(*each) for each in zip(*counts, strict=True)]


def _text(body: bytes) -> str:
    try:
        text = body.removeprefix(codecs.BOM_UTF8).decode().strip(_WHITESPACE)
    except UnicodeDecodeError:
        raise malformed("is not UTF-8") from None
    if "!" in text and "<!DOCTYPE" in text:
        raise malformed("has a DTD, which is refused")
    if not text:
        raise malformed("is empty")
    return text


def _next_skip(feed: ElementTree.Element) -> int | None:
    """Return the next page's `$skip`. Nothing else of the link is used: it could name another host."""
    for link in feed.iterfind(f"{ATOM}link"):
        if link.get("rel") == "next":
            try:
                href = values.text(link.get("href")) or ""
                query = parse_qs(urlsplit(href).query.lower())
                skip = values.integer(query.get("$skip", [""])[0])
            except ValueError:
                skip = None
            if skip is None:
                raise malformed("links to a next page without its start position")
            return skip
    return None
