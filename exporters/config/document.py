"""A YAML document whose every value knows where it stands, so that errors name line, column and path."""

import difflib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml

T = TypeVar("T")

# Aliases can make a small file mean an enormous one; a real file of 1,000 namespaces has about 30,000 values.
_MAXIMUM_VALUES = 500_000


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and where: line and column count from 1, 0 where it is about the file as a whole."""

    message: str
    path: str = ""
    line: int = 0
    column: int = 0

    def within(self, file_name: str) -> str:
        """Return the message as compilers write it: file:line:column: path: message."""
        place = f"{file_name}:{self.line}:{self.column}" if self.line else file_name
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class BadValueError(Exception):
    """A value that can't be what its key needs."""

    def __init__(self, node: "Node", message: str) -> None:
        super().__init__(message)
        self.problem = node.problem(message)


class Document:
    """A parsed file and the problems found in it so far."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._values = 0

    def parse(self, text: str) -> "Node | None":
        """Return the root; None, with the problem noted, for what is not YAML. An empty file is an empty
        mapping.
        """
        try:
            loader = yaml.SafeLoader(text)
            try:
                root = loader.get_single_node()
            finally:
                loader.dispose()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
            # The snippet that the library adds is left out: it could show a secret.
            self.problems.append(Problem(f"This is not YAML: {error.problem}.", "", line, column))
            return None
        except RecursionError:
            self.fail("This is nested too deeply.")
            return None
        except yaml.YAMLError:
            self.fail("This is not YAML: it holds a character that YAML doesn't allow.")
            return None
        return Node(self, root or yaml.MappingNode("tag:yaml.org,2002:map", []), "")

    def fail(self, message: str) -> None:
        """Note a problem of the file as a whole."""
        self.problems.append(Problem(message))

    def count(self) -> None:
        self._values += 1
        if self._values > _MAXIMUM_VALUES:
            raise TooLargeError

    def attempt(self, read: "Callable[[Node], T]", node: "Node") -> T | None:
        """Return what `read` makes of the node; note the problem and return None when it can't."""
        try:
            return read(node)
        except BadValueError as error:
            self.problems.append(error.problem)
            return None


class TooLargeError(Exception):
    """More values than any real configuration has."""


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
        """Return the same place under another path, for what is missing in it."""
        return Node(self.document, self._node, path)

    def report(self, message: str) -> None:
        self.document.problems.append(self.problem(message))

    @property
    def is_null(self) -> bool:
        return bool(self._node.tag == "tag:yaml.org,2002:null")

    @property
    def is_mapping(self) -> bool:
        return isinstance(self._node, yaml.MappingNode)

    def mapping(self, keys: Collection[str] | None = None) -> "dict[str, Node]":
        """Return the values by key; unknown and repeated keys are problems of their own."""
        if not isinstance(self._node, yaml.MappingNode):
            raise BadValueError(self, f"A mapping (key: value) is needed here, not {self._what()}.")
        found: dict[str, Node] = {}
        for key, node in self._pairs(self._node):
            name = str(key.value)
            value = Node(self.document, node, f"{self.path}.{name}" if self.path else name)
            at_key = Node(self.document, key, value.path)
            if name in found:
                at_key.report("This key stands here twice; remove one of them.")
            elif keys is not None and name not in keys:
                at_key.report(f"Unknown key “{name}”.{suggestion(name, keys)}")
            else:
                found[name] = value
        return found

    def _pairs(self, mapping: yaml.MappingNode, depth: int = 0) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        if depth > 10:  # a mapping can be merged into itself
            raise BadValueError(self, "<<: is nested too deeply.")
        own = []
        merged: list[tuple[yaml.Node, yaml.Node]] = []
        for key, value in mapping.value:
            if key.tag != "tag:yaml.org,2002:merge":
                own.append((key, value))
                continue
            parts = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for part in parts:
                if not isinstance(part, yaml.MappingNode):
                    raise BadValueError(Node(self.document, value, self.path), "<<: takes a mapping.")
                merged += self._pairs(part, depth + 1)
        names = set()
        for key, value in own:
            if not isinstance(key, yaml.ScalarNode):
                raise BadValueError(Node(self.document, key, self.path), "A key must be plain text.")
            names.add(key.value)
            yield key, value
        for key, value in merged:  # what is merged gives way to the mapping's own keys
            if key.value not in names:
                names.add(key.value)
                yield key, value

    def sequence(self) -> "list[Node]":
        if not isinstance(self._node, yaml.SequenceNode):
            raise BadValueError(self, f"A list is needed here, not {self._what()}.")
        return [
            Node(self.document, node, f"{self.path}[{index}]") for index, node in enumerate(self._node.value)
        ]

    def text(self) -> str:
        """Return the scalar as it is written: `1.10` stays 1.10 and `no` stays no, as the key says that it is
        text.
        """
        if not isinstance(self._node, yaml.ScalarNode) or self.is_null:
            raise BadValueError(self, f"Text is needed here, not {self._what()}.")
        value = str(self._node.value)
        if "\0" in value:
            raise BadValueError(self, "Text can't hold a NUL character.")
        return value

    def boolean(self) -> bool:
        value = self._scalar()
        if not isinstance(value, bool):
            raise BadValueError(self, "true or false is needed here.")
        return value

    def integer(self) -> int:
        value = self._scalar()
        if isinstance(value, bool) or not isinstance(value, int):
            raise BadValueError(self, "A whole number is needed here.")
        return value

    def number(self) -> float:
        value = self._scalar()
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadValueError(self, "A number is needed here.")
        return float(value)

    def _scalar(self) -> Any:
        if not isinstance(self._node, yaml.ScalarNode):
            return None
        try:
            return yaml.SafeLoader("").construct_object(self._node)
        except (ValueError, yaml.YAMLError):
            return None

    def _what(self) -> str:
        if self.is_null:
            return "nothing"
        if isinstance(self._node, yaml.CollectionNode):
            return "a mapping" if self.is_mapping else "a list"
        return "a single value"


def suggestion(name: str, keys: Collection[str]) -> str:
    if not keys:
        return ""
    close = difflib.get_close_matches(name, keys, n=1)
    if close:
        return f" Did you mean “{close[0]}”?"
    return " Known here: " + ", ".join(sorted(keys)) + "."
