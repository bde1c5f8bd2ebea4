"""A YAML document whose values have their positions, so that errors name line, column and path."""

import difflib
import math
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml

from ..credentials.redaction import redacted
from .bounded_yaml import (
    MAX_YAML_CHARACTERS,
    MAX_YAML_VALUES,
    TooLargeError,
    compose,
    plain_value,
    too_many_values,
)

T = TypeVar("T")

# More mistakes than anyone reads at once; each costs a line on a page.
MAX_YAML_MISTAKES = 200
_SURROGATE = re.compile("[\ud800-\udfff]")
_SHOWN = 100  # characters of a key in a message
_COMPARED = 1000  # names to compare a misspelled one with
_LISTED = 30  # names listed in a message


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem and its position: line and column count from 1; 0 for problems of the whole file."""

    message: str
    path: str = ""
    line: int = 0
    column: int = 0

    def __post_init__(self) -> None:
        # Many messages repeat parts of the file, and a connection string can be anywhere in it.
        object.__setattr__(self, "message", redacted(self.message))
        object.__setattr__(self, "path", redacted(self.path))

    def within(self, file_name: str) -> str:
        """Return the message in the format of compilers: file:line:column: path: message."""
        place = f"{file_name}:{self.line}:{self.column}" if self.line else file_name
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class BadValueError(Exception):
    """A value that is invalid for its key."""

    def __init__(self, node: "Node", message: str) -> None:
        super().__init__(message)
        self.problem = node.problem(message)


class Document:
    """A parsed file, and the problems found in it so far."""

    def __init__(self, characters: int = MAX_YAML_CHARACTERS, values: int = MAX_YAML_VALUES) -> None:
        """`characters` and `values` limit what is read; values that aliases repeat count each time."""
        self.problems: list[Problem] = []
        self._most_characters = characters
        self._most_values = values
        self._values = 0

    def parse(self, text: str) -> "Node | None":
        """Return the root; for invalid YAML, report the problem and return None.

        An empty file is an empty mapping.
        """
        try:
            root = compose(text, self._most_characters, self._most_values)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
            # Omit the library's snippet, which could contain a secret.
            self.problems.append(Problem(f"This is not YAML: {error.problem}.", "", line, column))
            return None
        except TooLargeError as error:
            self.fail(str(error))
            return None
        except yaml.YAMLError:
            self.fail("This is not YAML: it contains a character or a number that YAML doesn't allow.")
            return None
        return Node(self, root or yaml.MappingNode("tag:yaml.org,2002:map", []), "")

    def fail(self, message: str) -> None:
        """Report a problem of the whole file."""
        self.problems.append(Problem(message))

    def note(self, problem: Problem) -> None:
        """Report a problem; raise TooManyMistakesError after the last one that is kept."""
        self.problems.append(problem)
        if len(self.problems) == MAX_YAML_MISTAKES:
            raise TooManyMistakesError

    def count(self) -> None:
        self._values += 1
        if self._values > self._most_values:
            raise too_many_values(self._most_values)

    def attempt(self, read: "Callable[[Node], T]", node: "Node") -> T | None:
        """Return the result of reading the node; if the value is invalid, report the problem and return None."""
        try:
            return read(node)
        except BadValueError as error:
            self.note(error.problem)
            return None

    def within_bounds(self, read: "Callable[[], T]") -> T | None:
        """Return the result of `read`; if the document exceeds a limit, report the problem and return None."""
        try:
            return read()
        except TooLargeError as error:
            self.problems = []
            self.fail(str(error))
        except TooManyMistakesError:
            self.fail(f"These are the first {MAX_YAML_MISTAKES} errors. There may be more.")
        return None


class TooManyMistakesError(Exception):
    """The document has more mistakes than are listed."""


class Node:
    """One value of the document."""

    def __init__(self, document: Document, node: yaml.Node, path: str) -> None:
        document.count()
        self.document = document
        self.path = path
        self._node = node

    def problem(self, message: str) -> Problem:
        mark = self._node.start_mark
        if mark is None:
            return Problem(message, self.path)
        return Problem(message, self.path, mark.line + 1, mark.column + 1)

    def at(self, path: str) -> "Node":
        """Return the same position under another path, to report something that is missing there."""
        return Node(self.document, self._node, path)

    def report(self, message: str) -> None:
        self.document.note(self.problem(message))

    @property
    def is_null(self) -> bool:
        return bool(self._node.tag == "tag:yaml.org,2002:null")

    @property
    def is_mapping(self) -> bool:
        return isinstance(self._node, yaml.MappingNode)

    def mapping(self, keys: Collection[str] | None = None) -> "dict[str, Node]":
        """Return the values by key; report unknown and repeated keys."""
        if not isinstance(self._node, yaml.MappingNode):
            raise BadValueError(self, f"Expected a mapping (key: value), not {self._what()}.")
        found: dict[str, Node] = {}
        for key, node in self._pairs(self._node):
            name = Node(self.document, key, self.path)._storable(str(key.value))
            shown = name[:_SHOWN]
            value = Node(self.document, node, f"{self.path}.{shown}" if self.path else shown)
            at_key = Node(self.document, key, value.path)
            if name in found:
                at_key.report("This key appears twice. Remove one of them.")
            elif keys is not None and name not in keys:
                at_key.report(f"Unknown key “{shown}”.{suggestion(shown, keys)}")
            else:
                found[name] = value
        return found

    def _pairs(self, mapping: yaml.MappingNode, depth: int = 0) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        if depth > 10:  # a mapping can be merged into itself
            raise BadValueError(self, "<<: is nested too deeply.")
        own = []
        merged: list[tuple[yaml.Node, yaml.Node]] = []
        merges = False
        for key, value in mapping.value:
            if key.tag != "tag:yaml.org,2002:merge":
                own.append((key, value))
                continue
            if merges:
                raise BadValueError(
                    Node(self.document, key, self.path), "<<: appears twice. Use a list instead."
                )
            merges = True
            parts = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for part in parts:
                if not isinstance(part, yaml.MappingNode):
                    raise BadValueError(Node(self.document, value, self.path), "<<: requires a mapping.")
                for pair in self._pairs(part, depth + 1):
                    self.document.count()  # a mapping that merges others 30 times, nine levels deep, would never end
                    merged.append(pair)
        names = set()
        for key, value in own:
            if not isinstance(key, yaml.ScalarNode):
                raise BadValueError(Node(self.document, key, self.path), "A key must be plain text.")
            names.add(key.value)
            yield key, value
        for key, value in merged:  # the mapping's own keys take precedence over merged ones
            if key.value not in names:
                names.add(key.value)
                yield key, value

    def sequence(self) -> "list[Node]":
        if not isinstance(self._node, yaml.SequenceNode):
            raise BadValueError(self, f"Expected a list, not {self._what()}.")
        return [
            Node(self.document, node, f"{self.path}[{index}]") for index, node in enumerate(self._node.value)
        ]

    def text(self) -> str:
        """Return the scalar as written: the key expects text, so `1.10` stays 1.10 and `no` stays no."""
        if not isinstance(self._node, yaml.ScalarNode) or self.is_null:
            raise BadValueError(self, f"Expected text, not {self._what()}.")
        value = str(self._node.value)
        return self._storable(value)

    def _storable(self, text: str) -> str:
        if "\0" in text:
            raise BadValueError(self, "Text can't contain a NUL character.")
        if _SURROGATE.search(text):  # "\ud800" makes one
            raise BadValueError(self, "Text can't contain an unpaired surrogate (U+D800 to U+DFFF).")
        return text

    def boolean(self) -> bool:
        value = self._scalar()
        if not isinstance(value, bool):
            raise BadValueError(self, "Expected true or false.")
        return value

    def integer(self) -> int:
        value = self._scalar()
        if isinstance(value, bool) or not isinstance(value, int):
            raise BadValueError(self, "Expected a whole number.")
        if value.bit_length() > 64:
            raise BadValueError(self, "This number is too large.")
        return value

    def number(self) -> float:
        value = self._scalar()
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadValueError(self, "Expected a number.")
        if (isinstance(value, int) and value.bit_length() > 64) or not math.isfinite(value):
            raise BadValueError(self, "This number is too large.")
        return float(value)

    def _scalar(self) -> Any:
        return plain_value(self._node) if isinstance(self._node, yaml.ScalarNode) else None

    def _what(self) -> str:
        if self.is_null:
            return "nothing"
        if isinstance(self._node, yaml.CollectionNode):
            return "a mapping" if self.is_mapping else "a list"
        return "a single value"


def suggestion(name: str, keys: Collection[str]) -> str:
    if not keys:
        return ""
    if len(keys) > _COMPARED:
        return ""  # it would take seconds for a file with many mistakes
    close = difflib.get_close_matches(name, keys, n=1)
    if close:
        return f" Did you mean “{close[0]}”?"
    if len(keys) > _LISTED:
        return ""
    return " Valid keys: " + ", ".join(sorted(keys)) + "."
