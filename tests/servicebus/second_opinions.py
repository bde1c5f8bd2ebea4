"""How other readers read a page: ElementTree for pages the scanner accepts, the SDK for those the hub accepts."""

import datetime as dt
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from typing import Any

# The code with which ServiceBusAdministrationClient reads pages.
from azure.servicebus.management._generated import models
from azure.servicebus.management._generated._serialization import Deserializer, xml_key_extractor

from exporters.servicebus import atom, element_tree, scanner
from exporters.servicebus.entity_fields import QUEUE, SUBSCRIPTION, TOPIC
from exporters.servicebus.errors import ServiceBusError
from tests.servicebus.pages import PARSERS

SHAPES = {"queue": QUEUE, "topic": TOPIC, "subscription": SUBSCRIPTION}
_FEEDS = {
    "queue": (models.QueueDescriptionFeed, "queue_description"),
    "topic": (models.TopicDescriptionFeed, "topic_description"),
    "subscription": (models.SubscriptionDescriptionFeed, "subscription_description"),
}
_SAME = {  # an entity's field: the SDK's
    "size_bytes": "size_in_bytes",
    "messages": "message_count",
    "subscription_count": "subscription_count",
    "max_delivery_count": "max_delivery_count",
    "requires_session": "requires_session",
    "partitioned": "enable_partitioning",
    "forward_to": "forward_to",
    "forward_dead_lettered_messages_to": "forward_dead_lettered_messages_to",
    "user_metadata": "user_metadata",
}
_COUNTS = {
    "active": "active_message_count",
    "dead_letter": "dead_letter_message_count",
    "scheduled": "scheduled_message_count",
    "transfer": "transfer_message_count",
    "transfer_dead_letter": "transfer_dead_letter_message_count",
}
_TIMES = {"created": "created_at", "updated": "updated_at", "accessed": "accessed_at"}
_DURATIONS = {
    "lock_duration_seconds": "lock_duration",
    "default_message_ttl_seconds": "default_message_time_to_live",
}
_FOREVER_DAYS = 10_675_199


def contradictions(body: bytes) -> list[str]:
    """Return the contradictions between the readers of the page. Only ServiceBusErrors are caught."""
    found = []
    for kind, parse in PARSERS.items():
        try:
            parsed = parse(body)
        except ServiceBusError:
            parsed = None
        if kind in SHAPES:
            found += [f"{kind}: {text}" for text in _of_elementtree(kind, body)]
            if isinstance(parsed, atom.Page):
                found += [f"{kind}: {text}" for text in _of_the_sdk(kind, body, parsed)]
    return found


def is_scanned(kind: str, body: bytes) -> bool:
    """Return whether the scanner accepts the page."""
    try:
        return scanner.scan(atom._text(body), SHAPES[kind]) is not None
    except ServiceBusError:
        return False


def _of_elementtree(kind: str, body: bytes) -> list[str]:
    try:
        text = atom._text(body)
    except ServiceBusError:
        return []
    scanned = scanner.scan(text, SHAPES[kind])
    if scanned is None:
        return []
    entries, feed = scanned
    try:
        root = ElementTree.fromstring(text)
        walked = element_tree.read_entries(root, SHAPES[kind])
    except (ElementTree.ParseError, ServiceBusError) as error:
        return [f"the scanner takes what ElementTree refuses: {error}"]
    found = [
        f"scanner {one!r}, ElementTree {two!r}"
        for one, two in zip(entries, walked, strict=False)
        if one != two
    ]
    if len(entries) != len(walked):
        found.append(f"scanner {len(entries)} entries, ElementTree {len(walked)}")
    # Only these are used.
    links = [
        [link.attrib for link in one.iterfind(f"{element_tree.ATOM}link") if link.get("rel") == "next"]
        for one in (feed, root)
    ]
    if links[0] != links[1]:
        found.append(f"scanner {links[0]}, ElementTree {links[1]}")
    return found


def _of_the_sdk(kind: str, body: bytes, page: atom.Page[Any]) -> Sequence[str]:
    feed, description = _FEEDS[kind]
    root = ElementTree.fromstring(atom._text(body))
    if root.tag != f"{element_tree.ATOM}feed":
        return []
    deserializer = Deserializer(feed._infer_class_models())
    deserializer.key_extractors = [xml_key_extractor]  # alone: the one for JSON takes attributes for elements
    try:
        entries = deserializer(feed.__name__, root, content_type="application/xml").entry or []
    except Exception:  # its own refusal, with various types
        return []
    if len(entries) != len(page.entities):
        return [f"the hub reads {len(page.entities)} entities, the SDK {len(entries)}"]
    found = []
    for entity, entry in zip(page.entities, entries, strict=True):
        other = getattr(entry.content, description, None)
        found += _differences(entity, entry.title, other)
    return found


def _differences(entity: Any, title: Any, other: Any) -> list[str]:
    if other is None:
        return ["the SDK finds no description"]
    pairs = [(entity.name, title)]
    pairs += [(getattr(entity, ours, None), getattr(other, theirs, None)) for ours, theirs in _SAME.items()]
    pairs = [(ours, theirs) for ours, theirs in pairs if not _is_negative(theirs)]  # unknown to the hub
    for ours, theirs in _TIMES.items():
        moment = getattr(other, theirs)
        if moment is not None and (moment.year == 1):
            moment = None
        pairs.append((getattr(entity, ours), _seconds(moment)))
    for ours, theirs in _DURATIONS.items():
        if hasattr(entity, ours):
            length = getattr(other, theirs)
            is_forever = length is not None and length.days >= _FOREVER_DAYS
            pairs.append(
                (getattr(entity, ours), None if length is None or is_forever else length.total_seconds())
            )
    if entity.counts is not None:
        details = other.message_count_details
        pairs += [
            (getattr(entity.counts, ours), getattr(details, theirs, None)) for ours, theirs in _COUNTS.items()
        ]
    if entity.status is not None:
        pairs.append((entity.status.replace("_", ""), (other.status or "").lower()))
    return [f"hub {ours!r}, SDK {theirs!r}" for ours, theirs in pairs if not _is_same(ours, theirs)]


def _seconds(moment: dt.datetime | None) -> float | None:
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


def _is_negative(value: Any) -> bool:
    return isinstance(value, int) and value < 0


def _is_same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, float) and isinstance(theirs, int | float):
        return abs(ours - theirs) < 1e-4
    return bool(ours == theirs) or (ours is None and theirs == "")
