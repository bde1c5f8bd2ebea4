"""How much work a page can cause for the parsers: bounds, and expressions that never backtrack."""

import re
import time
from types import ModuleType

import pytest

from exporters.servicebus import atom, element_tree, entry_layout, scanner, values
from exporters.servicebus.entity_fields import QUEUE, SUBSCRIPTION, TOPIC
from exporters.servicebus.errors import Reason, ServiceBusError
from tests.servicebus import pages

PAGE = pages.page(pages.queues(3)).decode()
ENTRY = PAGE[PAGE.index("<entry") : PAGE.index("</entry>") + len("</entry>")]
HEAD = '<feed xmlns="http://www.w3.org/2005/Atom"><title type="text">Queues</title>'
ACTIVE = "<d2p1:ActiveMessageCount>74</d2p1:ActiveMessageCount>"
_SIZE = 4_000_000


def filled(unit: str) -> str:
    return HEAD + unit * (_SIZE // len(unit)) + "</feed>"


AMOUNTS = {
    "a link with a long attribute": f'{HEAD}<link {"a" * _SIZE} rel="self"/></feed>',
    "attributes": HEAD + "<link " + " ".join(f"a{number}=''" for number in range(400_000)) + "/></feed>",
    "links": filled('<link rel="a"/>'),
    "elements": filled("<a/>"),
    "nested elements": filled("<a>"),
    "entries": filled("<entry/>"),
    "whole entries": filled(ENTRY),
    "a name": PAGE.replace(">queue-2<", f">{'n' * _SIZE}<"),
    "references in a name": PAGE.replace(">queue-2<", f">{'&amp;' * (_SIZE // 5)}<"),
    "digits of a reference": PAGE.replace(">queue-2<", f">&#{'1' * _SIZE};<"),
    "digits of a count": PAGE.replace(ACTIVE, ACTIVE.replace("74", "7" * _SIZE)),
    "digits of a duration": PAGE.replace("PT1M", f"PT{'1' * _SIZE}M"),
    "digits of a time": PAGE.replace("2026-11-27T", f"2026-11-{'2' * _SIZE}T", 4),
    "namespaces": HEAD + "".join(f'<a xmlns:p{n}="u">' for n in range(60_000)) + "</a>" * 60_000 + "</feed>",
    "ampersands": filled("&"),
    "tags": "<" * _SIZE,
    "a comment": f"{HEAD}<!--{'-' * _SIZE}--></feed>",
}


@pytest.mark.parametrize("name", AMOUNTS)
def test_an_amount_that_the_service_never_sends_is_malformed_without_much_work(name: str) -> None:
    body = AMOUNTS[name].encode()
    started = time.process_time()
    with pytest.raises(ServiceBusError) as raised:
        atom.parse_queues(body)
    assert time.process_time() - started < 2  # 10 to 60 ms, where a non-linear algorithm takes minutes
    assert raised.value.reason is Reason.MALFORMED


def test_an_amount_below_the_bounds_is_read() -> None:
    inner = "<a>" * 49_000 + "</a>" * 49_000
    assert atom.parse_queues((HEAD + inner + ENTRY + "</feed>").encode()).entities[0].name == "queue-0"


def test_a_page_full_of_the_longest_metadata_is_read() -> None:
    queues = pages.queues(100)
    for queue in queues:
        queue.update(user_metadata="=" * 1024)
    body = pages.page(queues).replace(b"</feed>", b"\n</feed>")  # makes ElementTree read it
    assert {queue.user_metadata for queue in atom.parse_queues(body).entities} == {"=" * 1024}


def _patterns() -> list[tuple[str, str]]:
    found = []
    for module in (atom, element_tree, scanner, entry_layout, values):
        found += [
            (f"{module.__name__}.{name}", value.pattern)
            for name, value in vars(module).items()
            if isinstance(value, re.Pattern)
        ]
        found += _functions_of_patterns(module)
    for shape, body in ((QUEUE, pages.queues(20, varied=True)), (TOPIC, pages.topics(1))):
        atom_page = pages.page(body).decode()
        scanner.scan(atom_page, shape)
    scanner.scan(pages.page(pages.subscriptions(1)).decode(), SUBSCRIPTION)
    for element, layouts in scanner._layouts.items():
        found += [(element, one.pattern.pattern) for one in layouts]
    return found


def _functions_of_patterns(module: ModuleType) -> list[tuple[str, str]]:
    return [
        (f"{module.__name__}.{name}", value.__self__.pattern)
        for name, value in vars(module).items()
        if isinstance(getattr(value, "__self__", None), re.Pattern)
    ]


def test_no_expression_that_a_page_reaches_can_go_back_over_its_text() -> None:
    patterns = _patterns()
    assert len(patterns) >= 12
    for name, pattern in patterns:
        assert not _open_repetitions(re._parser.parse(pattern)), name  # type: ignore[attr-defined]


def _open_repetitions(parsed: object) -> list[object]:
    """Return the repetitions that aren't possessive and have no small bound."""
    found: list[object] = []
    for operation, argument in parsed:  # type: ignore[attr-defined]
        if str(operation) in {"MAX_REPEAT", "MIN_REPEAT"} and argument[1] > 64:
            found.append((operation, argument))
        parts = argument if isinstance(argument, tuple | list) else [argument]
        for part in parts:
            for inner in part if isinstance(part, list) else [part]:
                if type(inner).__name__ == "SubPattern":
                    found += _open_repetitions(inner)
    return found
