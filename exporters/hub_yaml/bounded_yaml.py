"""Untrusted YAML, as PyYAML's safe loader reads it, with limits on everything that costs time or memory."""

from typing import Any

import yaml

# Enough for a hub.yaml of 10,000 namespaces.
MAX_YAML_CHARACTERS = 5_000_000
MAX_YAML_VALUES = 500_000
MAX_YAML_DEPTH = 50


class TooLargeError(ValueError):
    """The document exceeds a limit; the message says which one."""


def compose(text: str, characters: int, values: int) -> yaml.Node | None:
    """Return the root of the only document in the text, or None if it is empty.

    Reads at most `characters` characters and `values` nodes. An alias counts as one node, without its target: code that
    follows aliases must count. Raises TooLargeError above a limit, and yaml.YAMLError for invalid YAML.
    """
    if len(text) > characters:
        raise TooLargeError(f"This has {len(text):,} characters; at most {characters:,} are allowed.")
    loader = _Loader(text, values)
    try:
        return loader.get_single_node()
    except (TooLargeError, yaml.YAMLError):
        raise
    except (OverflowError, ValueError) as error:
        # PyYAML passes on Python's own errors for numbers that are too large: %YAML 1.99..., "\UFFFFFFFF".
        raise yaml.YAMLError("This contains a number that is too large.") from error
    finally:
        loader.dispose()


def too_many_values(values: int) -> TooLargeError:
    return TooLargeError(f"This contains more than {values:,} values. Are its aliases (*name) nested?")


def plain_value(node: yaml.ScalarNode) -> Any:
    """Return a scalar's value; None for null and for values that don't fit their tag, such as `!!int many`."""
    try:
        return yaml.SafeLoader("").construct_object(node)
    # PyYAML raises any of these for text that doesn't fit its tag, and for numbers out of range.
    except (ArithmeticError, AttributeError, LookupError, ValueError, yaml.YAMLError):
        return None


class _Loader(yaml.SafeLoader):
    def __init__(self, text: str, values: int) -> None:
        super().__init__(text)
        self._values = values
        self._read = 0
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._read += 1
        if self._read > self._values:
            raise too_many_values(self._values)
        if self._depth == MAX_YAML_DEPTH:
            raise TooLargeError(f"This is nested more than {MAX_YAML_DEPTH} levels deep.")
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node
