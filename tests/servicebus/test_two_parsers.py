"""The scanner reads a page as ElementTree does, or not at all; the SDK reads the same."""

import random

import pytest

from exporters.servicebus import atom, element_tree, scanner
from exporters.servicebus.entities import Queue
from exporters.servicebus.errors import Reason, ServiceBusError
from tests.servicebus import pages
from tests.servicebus.mutations import mutated
from tests.servicebus.second_opinions import contradictions, is_scanned

PAGE = pages.page(pages.queues(3)).decode()
ENTRY = PAGE[PAGE.index("<entry") : PAGE.index("</entry>") + len("</entry>")]
HEAD = '<feed xmlns="http://www.w3.org/2005/Atom"><title type="text">Queues</title>'


@pytest.fixture(autouse=True)
def _without_layouts_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanner, "_layouts", {})


def read(text: str) -> list[Queue] | Reason:
    """Return the queues of a page, or why there are none; assert that all readers agree."""
    body = text.encode("utf-8", "surrogatepass")
    assert contradictions(body) == []
    try:
        return atom.parse_queues(body).entities
    except ServiceBusError as error:
        return error.reason


def _short(value: object) -> str | None:
    return "page" if isinstance(value, str) else None


# A page of the service with one replacement in its last entry; the first entry teaches the scanner a layout.
_LAST = PAGE.rindex("<entry")


def changed(old: str, new: str, *, first: bool = False) -> str:
    """Return the page with the first occurrence in its last entry (or in its first one) replaced."""
    place = PAGE.index(old, PAGE.index("<entry") if first else _LAST)
    return PAGE[:place] + new + PAGE[place + len(old) :]


STATUS, ACTIVE = "<Status>Active</Status>", "<d2p1:ActiveMessageCount>74</d2p1:ActiveMessageCount>"
MALFORMED = [
    *[
        ("PT1M", value)
        for value in ("&bogus;", "& b", "&", "&amp", "&#x1;", "&#xD800;", "&#x110000;", "&#xFFFE;")
    ],
    *[
        (">queue-2<", f">a{value}b<")
        for value in ("&bogus;", "& b", "&#x1;", "&#xD800;", "&#x110000;", "]]>", "\0")
    ],
    *[
        (">queue-2<", f">a{value}b<")
        for value in ("\1", "\x0c", "\ufffe", "\uffff", "&#" + "1" * 5000 + ";", "<")
    ],
    *[
        (">queue-2<", f">a{value}b<")
        for value in ("\n", "\t", "&#10;", "&#xD;", "\r\n", "\x7f", "\x85", "\u2028")
    ],
    *[(">queue-2<", value) for value in ("><", f">{'n' * 513}<", ">" + "&amp;" * 513 + "<", "><b/>queue-2<")],
    *[
        (ACTIVE, ACTIVE.replace("74", value))
        for value in ("1_000", "+7", "٣٤", "-1", " 74", "74\n", "7.5", "0x1")
    ],
    *[(ACTIVE, ACTIVE.replace("74", "9" * digits)) for digits in (19, 20, 309, 400, 5000)],
    *[("<SizeInBytes>", "<SizeInBytes>" + value) for value in ("9" * 309, "9" * 5000, "-1", "_")],
    *[("<MaxSizeInMegabytes>", "<MaxSizeInMegabytes>" + "9" * digits) for digits in (13, 309, 400, 5000)],
    ("</MessageCount>", "</MessageCountX>"),
    ("</MessageCount>", ""),
    ("<MessageCount>", ""),
    ("<Status>", "<Status><"),
    ("<Status>", "<Status"),
    ("</content></entry>", "</entry></content>"),
    ("</entry>", ""),
    ("</entry>", "</entry></entry>"),
    ("</feed>", ""),
    ("</feed>", "</feed></feed>"),
    ("<QueueDescription", "<QueueDescriptionX"),
    (' type="application/xml"', ' type="a" type="b"'),
    (' type="application/xml"', ' type="<"'),
    (' type="application/xml"', " type=xml"),
    (' type="application/xml"', ' type="\1"'),
    ("$skip=0&amp;", "$skip=0&bogus;"),
    ("$skip=0&amp;", "$skip=0&"),
    (' type="application/xml"', ' type="&bogus;"'),
    (' type="application/xml"', ' type="a"b="c"'),
    (' type="application/xml"', ' b:type="a"'),
    ("<LockDuration>PT1M", "<LockDuration>PT1M<x></y>"),
    ("<d2p1:ActiveMessageCount>", "<d3p1:ActiveMessageCount>"),
    (' xmlns:d2p1="http://schemas', ' xmlns:d2p2="http://schemas'),
    (' xmlns="http://schemas.microsoft.com/netservices', ' xmlns="http://example.com'),
]


@pytest.mark.parametrize("is_first", [False, True])
@pytest.mark.parametrize("case", range(len(MALFORMED)))
def test_a_page_that_is_not_well_formed_or_has_a_wrong_value_is_malformed(case: int, is_first: bool) -> None:
    old, new = MALFORMED[case]
    if is_first:
        old = old.replace("queue-2", "queue-0").replace("74", "0")
        new = new.replace("queue-2", "queue-0").replace("74", "0")
    assert read(changed(old, new, first=is_first)) is Reason.MALFORMED


READABLE = [
    ("name", "a&b", ">queue-2<", ">a&amp;b<"),
    ("name", "<'&amp;\">", ">queue-2<", ">&lt;&apos;&amp;amp;&quot;&gt;<"),
    ("name", "aé😀", ">queue-2<", ">&#x61;&#233;😀<"),
    ("name", "queue", ">queue-2<", "><![CDATA[queue]]><"),
    ("name", "queue-2", ">queue-2<", "><!-- -->queue-2<"),
    ("name", "queue-2", "<title ", "<title\n  "),
    ("name", "first", "<title ", "<title>first</title><title "),
    ("name", "queue-2", "<title ", '<title xmlns="other">first</title><title '),
    ("name", "queue-2", "<title ", "<x><title>first</title></x><title "),
    ("name", "queue-2", "<content", "<title>second</title><content"),
    ("status", "active", STATUS, "<Status >Active</Status >"),
    ("status", "active", STATUS, "<Status\n>Active</Status\t>"),
    ("status", "active", STATUS, "<Status a='1'>Active</Status>"),
    ("status", "active", STATUS, f"{STATUS}<Status>Disabled</Status>"),
    ("status", "active", STATUS, f"<x>{STATUS.replace('Active', 'Disabled')}</x>{STATUS}"),
    ("status", "active", STATUS, f'<Status xmlns="other">Disabled</Status>{STATUS}'),
    ("status", "active", STATUS, "<Status>Active<b>Not</b></Status>"),
    ("status", "active", STATUS, "<Status>A<![CDATA[ct]]>ive</Status>"),
    ("status", "active", STATUS, "<Status>Act<?skip <Status>?>ive</Status>"),
    ("status", None, STATUS, "<Status/>"),
    ("status", None, STATUS, "<Status></Status>"),
    ("status", None, STATUS, ""),
    ("status", "active", STATUS, "<?php ?>text" + STATUS),
    ("messages", 76, "<MessageCount>", "<!-- <MessageCount>1</MessageCount> --><MessageCount>"),
    ("messages", 76, "</MessageCount>", "</MessageCount><MessageCount>1</MessageCount>"),
    ("messages", None, "<MessageCount>76</MessageCount>", "<MessageCount/>"),
    ("size_bytes", 5, "<SizeInBytes>2000000000", "<SizeInBytes>&#x35;"),
    ("counts", None, ACTIVE, ""),
    ("counts", None, ACTIVE, "<d2p1:ActiveMessageCount/>"),
    ("counts", None, 'xmlns:d2p1="', 'xmlns:d2p1="other'),
    ("user_metadata", "a\nb\nc", STATUS, STATUS + "<UserMetadata>a\r\nb\rc</UserMetadata>"),
    ("user_metadata", "a\r\nb", STATUS, STATUS + "<UserMetadata>a&#xD;\nb</UserMetadata>"),
    ("user_metadata", "\ufeff\x7f\x85", STATUS, STATUS + "<UserMetadata>\ufeff\x7f\x85</UserMetadata>"),
    ("user_metadata", None, STATUS, STATUS + "<UserMetadata/>"),
    ("forward_to", "sb://a/b&c", STATUS, STATUS + "<ForwardTo>sb://a/b&amp;c</ForwardTo>"),
]


@pytest.mark.parametrize("is_first", [False, True])
@pytest.mark.parametrize("case", range(len(READABLE)))
def test_a_page_that_is_written_in_another_way_is_read_as_elementtree_does(case: int, is_first: bool) -> None:
    field, expected, old, new = READABLE[case]
    number = 0 if is_first else 2
    for two, zero in (
        (("queue-2", "queue-0"), ("74", "0"), (">76", ">0"), ("2000000000", "0")) if is_first else ()
    ):
        old, new = old.replace(two, zero), new.replace(two, zero)
    if is_first and expected == "queue-2":
        expected = "queue-0"
    if is_first and expected == 76:
        expected = 0
    queues = read(changed(old, new, first=is_first))
    assert isinstance(queues, list)
    assert getattr(queues[number], field) == expected


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("\ufeff" + PAGE, 3),
        ('<?xml version="1.0" encoding="utf-8"?>\n' + PAGE, 3),
        (" \n" + PAGE + "\r\n", 3),
        (PAGE.replace("</feed>", "<!-- --></feed>"), 3),
        (PAGE.replace("</feed>", "\n</feed>"), 3),
        (PAGE.replace("<entry", "\n<entry"), 3),
        (PAGE.replace("<entry", "<a:entry xmlns:a='http://www.w3.org/2005/Atom'/><entry"), Reason.MALFORMED),
        (PAGE.replace("<entry", '<x xmlns="other"><entry/></x><entry'), 3),
        (PAGE.replace("<entry", "<x></x><entry"), 3),
        (PAGE.replace("<feed ", '<feed xmlns:d2p1="other" '), 3),
        (PAGE.replace("<feed ", "<feed  "), 3),
        (PAGE.replace("<entry", "<entry a='1'").replace(" xmlns=", "  xmlns="), 3),
        (PAGE.replace("Queues</title>", "Publicly Listed Services</title>"), Reason.NOT_FOUND),
        (PAGE.replace("http://www.w3.org/2005/Atom", "http://www.w3.org/2005/atom"), Reason.MALFORMED),
        ("x" + PAGE, Reason.MALFORMED),
        (PAGE + "x", Reason.MALFORMED),
        (PAGE + "<feed/>", Reason.MALFORMED),
        (PAGE + "\0", Reason.MALFORMED),
        ('<?xml version="1.0"?' + PAGE, Reason.MALFORMED),
        ('<?xml version="1.0" encoding="utf-16"?>' + PAGE, 3),
        (HEAD + ENTRY * 1000 + "</feed>", 1000),
        (HEAD + ENTRY * 1001 + "</feed>", Reason.MALFORMED),
    ],
    ids=_short,
)
def test_what_is_around_the_entries(page: str, expected: int | Reason) -> None:
    found = read(page)
    assert (len(found) if isinstance(found, list) else found) == expected


@pytest.mark.parametrize(
    ("link", "skip"),
    [
        ('<link rel="next" href="?%24skip=200&amp;%24top=100"/>', 200),
        ("<link href='?$skip=200' rel='next'></link>", 200),
        ('<link rel="self"/><link rel="next" href="?$SKIP=200"/><link rel="next" href="?$skip=9"/>', 200),
        ('<x><link rel="next" href="?$skip=9"/></x>', None),
        ('<link xmlns="other" rel="next" href="?$skip=9"/>', None),
        *[
            (f'<link rel="next" href="{href}"/>', Reason.MALFORMED)
            for href in ("", "http://[?$skip=1", "?$skip=-1")
        ],
        *[
            (f'<link rel="next" href="?$skip={skip}"/>', Reason.MALFORMED)
            for skip in ("9" * 5000, "٣", "1_0", "+1")
        ],
        (f'<link rel="next" href="{"a" * 4097}?$skip=1"/>', Reason.MALFORMED),
        ('<link rel="next" rel="next" href="?$skip=1"/>', Reason.MALFORMED),
        (f'<link {"a" * 40_000} rel="self"/>', Reason.MALFORMED),
    ],
    ids=_short,
)
def test_a_next_link(link: str, skip: int | Reason | None) -> None:
    for entries in (link + ENTRY, ENTRY + link, ENTRY + "<entryX/>" + link + ENTRY):
        page = HEAD + entries + "</feed>"
        body = page.encode()
        assert contradictions(body) == []
        found: int | Reason | None
        try:
            found = atom.parse_queues(body).next_skip
        except ServiceBusError as error:
            found = error.reason
        assert found == skip


SCANNED = {
    "queue": [
        pages.page(pages.queues(100)),
        pages.page(pages.queues(20, varied=True)),
        pages.page(pages.queues(1)),
    ],
    "topic": [pages.page(pages.topics(100)), pages.page(pages.topics(1))],
    "subscription": [pages.page(pages.subscriptions(10)), pages.page(pages.subscriptions(1))],
}


@pytest.mark.parametrize("kind", SCANNED)
def test_the_scanner_takes_what_the_service_sends(kind: str) -> None:
    for body in [*SCANNED[kind], *SCANNED[kind]]:
        assert is_scanned(kind, body)
        assert is_scanned(kind, b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>' + body)
        assert contradictions(body) == []
    queues = atom.parse_queues(SCANNED["queue"][1]).entities
    assert [queue.user_metadata for queue in queues[:4]] == [None, "owner: a & b", "<ü>\n&amp;", None]


def test_a_layout_reads_all_entries_that_are_alike_without_elementtree(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bodies = [pages.page(queues) for queues in (pages.queues(5), pages.queues(100))]
    expected = [atom.parse_queues(body) for body in bodies]
    monkeypatch.setattr(element_tree, "read_entry", None)
    assert [atom.parse_queues(body) for body in bodies] == expected


def test_what_a_hostile_endpoint_teaches_changes_no_reading_of_another() -> None:
    source = random.Random(7)
    honest = [body for bodies in SCANNED.values() for body in bodies]
    expected = [[parse(body) for parse in _of(body)] for body in honest]
    seeds = pages.seeds()
    for _ in range(300):
        body = mutated(source, seeds)
        for parse in pages.PARSERS.values():
            try:
                parse(body)
            except ServiceBusError:
                continue
    assert [[parse(body) for parse in _of(body)] for body in honest] == expected
    assert all(len(layouts) <= 16 for layouts in scanner._layouts.values())


def _of(body: bytes) -> list[object]:
    return [parse for kind, parse in pages.PARSERS.items() if kind in SCANNED and body in SCANNED[kind]]
