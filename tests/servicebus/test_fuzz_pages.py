"""All readers read randomly mutated pages alike; `python -m tests.servicebus.fuzz_pages` tries more."""

import contextlib
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporters.servicebus.errors import ServiceBusError
from tests.servicebus import pages
from tests.servicebus.mutations import SNIPPETS, mutated
from tests.servicebus.second_opinions import SHAPES, contradictions, is_scanned

PAGE = pages.page(pages.queues(3)).decode()
LAST = PAGE.rindex("<entry")
HEAD = '<feed xmlns="http://www.w3.org/2005/Atom"><title type="text">Queues</title>'


@pytest.mark.slow
def test_mutated_pages_are_read_alike_by_the_scanner_elementtree_and_the_sdk() -> None:
    source, seeds = random.Random(1), pages.seeds()
    scanned = 0
    for number in range(2000):
        body = mutated(source, seeds)
        assert contradictions(body) == [], (number, body)
        scanned += any(is_scanned(kind, body) for kind in SHAPES)
    assert scanned > 100  # otherwise the test would prove nothing


_TEXTS = st.text(st.characters(codec="utf-8") | st.sampled_from("<>&;\"'=#\r\n\t/]["), max_size=20)


@settings(max_examples=150, deadline=None)
@given(_TEXTS | st.sampled_from(SNIPPETS), st.sampled_from(range(60)), st.booleans())
def test_any_text_in_place_of_any_value_is_read_alike(text: str, place: int, is_value: bool) -> None:
    places = list(re.finditer(r"(?<=>)[^<>]+(?=</)" if is_value else r"<[^<>]*>", PAGE[LAST:]))
    found = places[place % len(places)]
    page = PAGE[: LAST + found.start()] + text + PAGE[LAST + found.end() :]
    assert contradictions(page.encode("utf-8", "surrogatepass")) == []


@settings(max_examples=200)
@given(st.binary() | _TEXTS.map(lambda text: (HEAD + text).encode("utf-8", "surrogatepass")))
@pytest.mark.parametrize("kind", pages.PARSERS)
def test_any_bytes_are_read_or_refused_as_an_answer_of_the_endpoint(kind: str, body: bytes) -> None:
    with contextlib.suppress(ServiceBusError):
        pages.PARSERS[kind](body)
