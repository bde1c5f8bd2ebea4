"""One page of a management feed (Atom XML) -> entities.

Two ways to read a page's text that agree: the scanner for what the service's serializer writes, in a seventh of the
time, and ElementTree for everything else.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import parse_qs, urlsplit

from . import values
from .entities import Counts, NamespaceInfo, Queue, Subscription, Topic
from .errors import Reason, ServiceBusError
from .scanner import scan
from .shapes import (
    COUNT_NAMES,
    COUNTS_NS,
    DESCRIPTION_NS,
    NOT_FOUND_TITLE,
    QUEUE,
    SUBSCRIPTION,
    TOPIC,
    Entry,
    Fields,
    Shape,
)

E = TypeVar("E")

_ATOM = "{http://www.w3.org/2005/Atom}"
_DESCRIPTION = f"{{{DESCRIPTION_NS}}}"
_COUNTS = f"{{{COUNTS_NS}}}"


@dataclass(frozen=True, slots=True)
class Page(Generic[E]):
    """A page of a listing."""

    entities: list[E]
    next_skip: int | None  # `$skip` of the next page; None on the last one


def parse_queues(body: bytes) -> Page[Queue]:
    """Return the queues of a page, or of a single queue's entry. Raises ServiceBusError (malformed, not_found)."""
    return _page(body, QUEUE, _queue)


def parse_topics(body: bytes) -> Page[Topic]:
    return _page(body, TOPIC, _topic)


def parse_subscriptions(body: bytes, topic_name: str) -> Page[Subscription]:
    return _page(
        body, SUBSCRIPTION, lambda name, fields, counts: _subscription(topic_name, name, fields, counts)
    )


def kind_of_entry(body: bytes) -> str | None:
    """Return `queue` or `topic` for the entry of one entity, None for anything else."""
    root = _root(_text(body))
    for kind, shape in (("queue", QUEUE), ("topic", TOPIC)):
        if root.find(f"{_ATOM}content/{_DESCRIPTION}{shape.element}") is not None:
            return kind
    return None


def parse_namespace_info(body: bytes) -> NamespaceInfo:
    root = _root(_text(body))
    description = root.find(f"{_ATOM}content/{_DESCRIPTION}NamespaceInfo")
    if description is None and root.findtext(f"{_ATOM}title") == NOT_FOUND_TITLE:
        raise ServiceBusError(Reason.NOT_FOUND, "This endpoint has no $namespaceinfo.")
    if description is None:
        raise _malformed("holds no NamespaceInfo")
    fields = {child.tag.removeprefix(_DESCRIPTION): child.text or "" for child in description}
    try:
        units = values.integer(fields.get("MessagingUnits"))
    except ValueError:
        raise _malformed("has MessagingUnits that are no number") from None
    return NamespaceInfo(
        name=fields.get("Name", ""), sku=fields.get("MessagingSKU") or None, messaging_units=units
    )


def _page(body: bytes, shape: Shape, make: Callable[[str, Fields, Counts | None], E]) -> Page[E]:
    text = _text(body)
    scanned = scan(text, shape)
    found: Iterable[Entry]
    links: Iterable[Mapping[str, str]]
    if scanned is not None:
        found, links = scanned
    else:
        root = _root(text)
        found, links = _walk(root, shape), (link.attrib for link in root.iterfind(f"{_ATOM}link"))
    next_skip = _next_skip(links)
    try:
        return Page([make(name, fields, counts) for name, fields, counts in found], next_skip)
    except (ValueError, OverflowError):
        # Which value it was is not said: an entry can hold keys, and nothing of a body may get out.
        raise _malformed("has an entity with a value that can't be read") from None


# What the scanner leaves, by ElementTree


def _walk(root: ElementTree.Element, shape: Shape) -> Iterator[Entry]:
    if root.tag == f"{_ATOM}feed":
        if root.findtext(f"{_ATOM}title") == NOT_FOUND_TITLE:
            raise ServiceBusError(Reason.NOT_FOUND, "The entity does not exist in this namespace.")
        entries = root.findall(f"{_ATOM}entry")
    elif root.tag == f"{_ATOM}entry":
        entries = [root]
    else:
        raise _malformed("is XML, but no Atom feed")
    for entry in entries:
        description = entry.find(f"{_ATOM}content/{_DESCRIPTION}{shape.element}")
        name = entry.findtext(f"{_ATOM}title")
        if description is None or not name:
            raise _malformed(f"has an entry without a {shape.element}")
        fields = {}
        for wanted in shape.fields:
            value = description.findtext(_DESCRIPTION + wanted)
            if value is not None:
                fields[wanted] = value
        yield name, fields, _counts(description.find(f"{_DESCRIPTION}CountDetails"))


def _counts(details: ElementTree.Element | None) -> Counts | None:
    """Return the counts, None when one of them is missing: half of them would add up to a wrong total."""
    if details is None:
        return None
    texts = [details.findtext(_COUNTS + name) for name in COUNT_NAMES]
    if None in texts or "" in texts:
        return None
    return Counts(*(int(text or "") for text in texts))


def _text(body: bytes) -> str:
    """Return the page as text, without what may stand before and after its root element."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _malformed("is not UTF-8") from None
    if "!" in text and "<!DOCTYPE" in text:
        raise _malformed("has a DTD, which is refused")
    text = text.strip()
    if text.startswith("<?xml"):
        text = text.partition("?>")[2].lstrip()
    if not text:
        raise _malformed("is empty")
    return text


def _root(text: str) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(text)  # noqa: S314 - a DTD is refused above, so there is nothing to expand
    except (ElementTree.ParseError, ValueError):
        what = (
            "is HTML, not XML"
            if text[:200].lower().lstrip("<!").startswith(("html", "doctype html"))
            else "is no XML"
        )
        raise _malformed(what) from None


def _next_skip(links: Iterable[Mapping[str, str]]) -> int | None:
    """Return the next page's `$skip`. Nothing else of the link is used: it could name another host."""
    for link in links:
        if link.get("rel") == "next":
            query = parse_qs(urlsplit(link.get("href", "")).query.lower())
            skip = query.get("$skip", [""])[0]
            if not skip.isdecimal():
                raise _malformed("announces a next page without saying where it starts")
            return int(skip)
    return None


def _malformed(what: str) -> ServiceBusError:
    return ServiceBusError(Reason.MALFORMED, f"The answer {what}; a proxy on the way may have changed it.")


# The entities


def _queue(name: str, fields: Fields, counts: Counts | None) -> Queue:
    get = fields.get
    return Queue(
        name,
        values.status(get("Status")),
        counts,
        values.integer(get("MessageCount")),
        values.integer(get("SizeInBytes")),
        values.megabytes(get("MaxSizeInMegabytes")),
        values.timestamp(get("CreatedAt")),
        values.timestamp(get("UpdatedAt")),
        values.timestamp(get("AccessedAt")),
        values.integer(get("MaxDeliveryCount")),
        values.duration(get("LockDuration")),
        values.duration(get("DefaultMessageTimeToLive")),
        values.boolean(get("RequiresSession")),
        values.boolean(get("EnablePartitioning")),
        get("ForwardTo") or None,
        get("ForwardDeadLetteredMessagesTo") or None,
        get("UserMetadata") or None,
    )


def _topic(name: str, fields: Fields, counts: Counts | None) -> Topic:
    get = fields.get
    return Topic(
        name,
        values.status(get("Status")),
        counts,
        values.integer(get("SizeInBytes")),
        values.megabytes(get("MaxSizeInMegabytes")),
        values.integer(get("SubscriptionCount")),
        values.timestamp(get("CreatedAt")),
        values.timestamp(get("UpdatedAt")),
        values.timestamp(get("AccessedAt")),
        values.duration(get("DefaultMessageTimeToLive")),
        values.boolean(get("EnablePartitioning")),
        get("UserMetadata") or None,
    )


def _subscription(topic_name: str, name: str, fields: Fields, counts: Counts | None) -> Subscription:
    get = fields.get
    return Subscription(
        topic_name,
        name,
        values.status(get("Status")),
        counts,
        values.integer(get("MessageCount")),
        values.timestamp(get("CreatedAt")),
        values.timestamp(get("UpdatedAt")),
        values.timestamp(get("AccessedAt")),
        values.integer(get("MaxDeliveryCount")),
        values.duration(get("LockDuration")),
        values.duration(get("DefaultMessageTimeToLive")),
        values.boolean(get("RequiresSession")),
        get("ForwardTo") or None,
        get("ForwardDeadLetteredMessagesTo") or None,
        get("UserMetadata") or None,
    )
