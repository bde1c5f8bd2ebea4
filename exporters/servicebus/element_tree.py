"""Read the entries of a page with ElementTree: correct for every page, at seven times the scanner's cost."""

import xml.etree.ElementTree as ElementTree

from .entity_fields import COUNT_NAMES, COUNTS_NS, DESCRIPTION_NS, NOT_FOUND_TITLE, Shape, Texts
from .errors import Reason, ServiceBusError

# The service sends 100 entries per page. 100 queues with twelve authorization rules each have 45,000 tags and 6,000
# attributes. Every `=` counts as an attribute, and each queue's UserMetadata may legitimately consist of 1,024 of them.
# A tree takes up to 300 bytes for each tag and attribute.
MAX_PAGE_ENTRIES = 1000
MAX_PAGE_TAGS = 100_000
MAX_PAGE_ATTRIBUTES = 120_000

ATOM = "{http://www.w3.org/2005/Atom}"
DESCRIPTION = f"{{{DESCRIPTION_NS}}}"
_COUNTS = f"{{{COUNTS_NS}}}"
FEED_TAG = '<feed xmlns="http://www.w3.org/2005/Atom">'


def parse(text: str) -> ElementTree.Element:
    """Return the root element. Raises ServiceBusError (malformed)."""
    if text.count("<") > MAX_PAGE_TAGS or text.count("=") > MAX_PAGE_ATTRIBUTES:
        raise malformed("has more elements than a Service Bus page")
    try:
        return ElementTree.fromstring(text)  # noqa: S314 - a DTD is refused before, so there is nothing to expand
    except (ElementTree.ParseError, ValueError):
        is_html = text[:200].lower().lstrip("<!").startswith(("html", "doctype html"))
        raise malformed("is HTML, not XML" if is_html else "is not XML") from None


def read_entries(root: ElementTree.Element, shape: Shape) -> list[Texts]:
    """Return the entries of a feed, or the root if it is an entry. Raises ServiceBusError (malformed, not_found)."""
    if root.tag == f"{ATOM}entry":
        return [_read(root, shape)]
    if root.tag != f"{ATOM}feed":
        raise malformed("is XML, but not an Atom feed")
    if root.findtext(f"{ATOM}title") == NOT_FOUND_TITLE:
        raise ServiceBusError(Reason.NOT_FOUND, "The entity does not exist in this namespace.")
    entries = root.findall(f"{ATOM}entry")
    if len(entries) > MAX_PAGE_ENTRIES:
        raise malformed("has more entries than a Service Bus page")
    return [_read(entry, shape) for entry in entries]


def read_entry(text: str, shape: Shape) -> Texts:
    """Return the entry of a text that contains exactly one, read as if inside a feed.

    Raises ServiceBusError (malformed).
    """
    root = parse(f"{FEED_TAG}{text}</feed>")
    entries = read_entries(root, shape)
    if len(root) != 1 or len(entries) != 1:
        raise malformed("has something between its entries")
    return entries[0]


def _read(entry: ElementTree.Element, shape: Shape) -> Texts:
    description = entry.find(f"{ATOM}content/{DESCRIPTION}{shape.element}")
    if description is None:
        raise malformed(f"has an entry without a {shape.element}")
    details = description.find(f"{DESCRIPTION}CountDetails")
    return (
        entry.findtext(f"{ATOM}title"),
        *[description.findtext(DESCRIPTION + name) for name in shape.fields],
        *[details.findtext(_COUNTS + name) if details is not None else None for name in COUNT_NAMES],
    )


def malformed(what: str) -> ServiceBusError:
    return ServiceBusError(Reason.MALFORMED, f"The response {what}. A proxy may have changed it.")
