"""Convert between label rules and a block of relabel_configs from prometheus.yml."""

import re
from collections.abc import Iterable
from typing import Any

import yaml

from ..models import LabelRule
from .document import BadValueError, Document, Node, Problem
from .export import Dumper, flat
from .schema import KIND_OF

# A rule has about 20 values and 200 characters.
MAX_PASTED_CHARACTERS = 100_000
MAX_PASTED_VALUES = 10_000
# The keys that can hold such a block in prometheus.yml.
_KEYS = ("relabel_configs", "metric_relabel_configs")
# The path of a rule or of a value in it, such as relabel_configs[2].regex.
_PATH = re.compile(r"\w*\[(?P<index>\d+)\]\.?(?P<key>.*)", re.DOTALL)
_READERS = {
    key.name: key for key in KIND_OF[LabelRule].keys if key.name not in {"team", "namespace", "source"}
}


class BlockError(ValueError):
    """The text is not a block of relabel_configs; `problems` has the positions and causes."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(_words, problems)))
        self.problems = problems


def read(text: str) -> list[dict[str, Any]]:
    """Return the rules of a block by attribute, with only the keys that it has; raise BlockError for an invalid block.

    The block may begin with its key, as copied from prometheus.yml, or with the first rule. Whether a rule makes sense
    is not checked here.
    """
    document = Document(MAX_PASTED_CHARACTERS, MAX_PASTED_VALUES)
    root = document.parse(text)
    rules = document.within_bounds(lambda: _rules(document, root)) or []
    if not rules and not document.problems:
        document.fail("This contains no rules.")
    if document.problems:
        raise BlockError(document.problems)
    return [rule for rule in rules if rule is not None]


def write(rules: Iterable[LabelRule]) -> str:
    """Return the rules as a block for prometheus.yml."""
    defaults = flat(LabelRule())
    block = []
    for rule in rules:
        values = {name: value for name, value in flat(rule).items() if name in _READERS}
        block.append({name: value for name, value in values.items() if value != defaults[name]})
    return yaml.dump(block, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100) if block else ""


def _words(problem: Problem) -> str:
    """Return a problem and its position, for example: Line 3, rule 1, modulus: Expected a whole number."""
    path = _PATH.fullmatch(problem.path)
    places = [
        f"line {problem.line}" if problem.line else "",
        f"rule {int(path['index']) + 1}" if path else "",
        path["key"] if path else problem.path,
    ]
    place = ", ".join(filter(None, places))
    return f"{place[0].upper()}{place[1:]}: {problem.message}" if place else problem.message


def _rules(document: Document, root: Node | None) -> list[dict[str, Any] | None]:
    entries = document.attempt(_entries, root) if root is not None else None
    return [document.attempt(_rule, entry) for entry in entries or []]


def _entries(root: Node) -> list[Node]:
    if not root.is_mapping:
        return root.sequence()
    found = root.mapping()
    if not found:
        return []
    blocks = [found[key] for key in _KEYS if key in found]
    if len(blocks) == 1:
        return blocks[0].sequence()
    if found and set(found) <= set(_READERS):
        return [root]  # one rule, without its dash
    raise BadValueError(root, f"Paste a list of rules, or {' or '.join(_KEYS)} with a list.")


def _rule(node: Node) -> dict[str, Any]:
    return {
        _READERS[name].attribute: _READERS[name].read(value) for name, value in node.mapping(_READERS).items()
    }
