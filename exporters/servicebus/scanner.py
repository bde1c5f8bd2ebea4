"""Read the entries of a page, if the page has the form that the service's serializer writes.

Entries are read with layouts learned from earlier entries, the rest of the page with ElementTree. The scanner declines
every page that ElementTree might read differently, or refuse.
"""

import re
import xml.etree.ElementTree as ElementTree

from . import element_tree
from .entity_fields import Shape, Texts
from .entry_layout import Layout, learn
from .errors import ServiceBusError

# The learned layouts by element, the most recently used first. A namespace has a few for each element: with and without
# forwarding, metadata, counts.
_MOST_LAYOUTS = 16
_layouts: dict[str, tuple[Layout, ...]] = {}

_START = re.compile(r"(?:<\?xml [^<>?]*+\?>\s*+)?+" + re.escape(element_tree.FEED_TAG))
# The text before the entries if a listing has a single page: it has no link to a next page, so it needs no parsing.
_ADDRESS = r"[^<>&\"\x00-\x1f]*+(?:&amp;[^<>&\"\x00-\x1f]*+)*+"
_USUAL_HEAD = re.compile(
    re.escape(element_tree.FEED_TAG)
    + rf'<title type="text">[A-Za-z]++</title><id>{_ADDRESS}</id><updated>[0-9TZ:.-]++</updated>'
    + rf'<link rel="self" href="{_ADDRESS}"/>'
)
_EMPTY_FEED = ElementTree.Element(f"{element_tree.ATOM}feed")
_MOST_CHARACTERS_OF_HEAD = 10_000
_ENTRY_END = "</entry>"
_FEED_END = "</feed>"


def scan(page: str, shape: Shape) -> tuple[list[Texts], ElementTree.Element] | None:
    """Return the page's entries, and a feed with its links to a next page; None if it doesn't have the usual form."""
    start = page.find("<entry", 0, _MOST_CHARACTERS_OF_HEAD)
    if start < 0 or not _START.match(page) or not page.endswith(_FEED_END):
        return None
    if not page.isascii() and ("\ufffe" in page or "\uffff" in page):  # which XML forbids
        return None
    try:
        # Each entry is closed before the next one begins, so the page is well-formed if each of its pieces is.
        feed = _EMPTY_FEED
        if not _USUAL_HEAD.fullmatch(page, 0, start):
            feed = element_tree.parse(page[:start] + _FEED_END)
            if element_tree.read_entries(feed, shape):  # with a prefix
                return None
        entries = _scan_entries(page, start, len(page) - len(_FEED_END), shape)
    except ServiceBusError:
        return None
    return (entries, feed) if entries is not None else None


def _scan_entries(page: str, position: int, end: int, shape: Shape) -> list[Texts] | None:
    """Read the entries between `position` and `end`. Raises ServiceBusError where ElementTree can't."""
    layouts = _layouts.get(shape.element, ())
    found: list[Texts] = []
    may_learn = True
    layout: Layout | None
    while position < end:
        for layout in layouts:
            read = layout.read(page, position)
            if read is not None:
                break
        else:
            stop = page.find(_ENTRY_END, position) + len(_ENTRY_END)
            if not page.startswith("<entry", position) or not page.startswith(("<entry", _FEED_END), stop):
                return None
            entry = page[position:stop]
            read = element_tree.read_entry(entry, shape), stop
            # At most one layout per page: compiling it costs as much as reading 40 entries with ElementTree.
            layout = learn(entry, shape) if may_learn else None
            may_learn = False
        if layout is not None and (not layouts or layout is not layouts[0]):
            layouts = (layout, *(other for other in layouts if other is not layout))[:_MOST_LAYOUTS]
            _layouts[shape.element] = layouts
        texts, position = read
        found.append(texts)
        if len(found) > element_tree.MAX_PAGE_ENTRIES:
            return None
    return found
