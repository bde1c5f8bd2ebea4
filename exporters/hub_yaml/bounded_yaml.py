"""YAML from outside, as PyYAML's safe loader reads it, but with a bound on everything that costs time or memory."""

from typing import Any

import yaml

# Enough for a hub.yaml of 10,000 namespaces.
MAX_YAML_CHARACTERS = 5_000_000
MAX_YAML_VALUES = 500_000
MAX_YAML_DEPTH = 50


class TooLargeError(ValueError):
    """The document is above one of the bounds; the message says which."""


def compose(text: str, characters: int, values: int) -> yaml.Node | None:
    """Return the root of the one document in the text, None for an empty one.

    At most `characters` characters and `values` nodes are read. An alias counts as a node, what it stands for does
    not: whoever follows aliases has to count. Raises TooLargeError above a bound, and yaml.YAMLError for what is not
    YAML.
    """
    if len(text) > characters:
        raise TooLargeError(f"This has {len(text):,} characters; at most {characters:,} are read.")
    loader = _Loader(text, values)
    try:
        return loader.get_single_node()
    except (TooLargeError, yaml.YAMLError):
        raise
    except (OverflowError, ValueError) as error:
        # PyYAML lets Python's own errors through for a number too large: %YAML 1.99..., "\UFFFFFFFF".
        raise yaml.YAMLError("This holds a number that is too large.") from error
    finally:
        loader.dispose()


def too_many_values(values: int) -> TooLargeError:
    return TooLargeError(f"This holds more than {values:,} values; are its aliases (*name) nested?")


def plain_value(node: yaml.ScalarNode) -> Any:
    """Return what a scalar stands for; None for null and for what its tag doesn't allow, such as `!!int many`."""
    try:
        return yaml.SafeLoader("").construct_object(node)
    # PyYAML raises any of these for a tag that the text doesn't fit, and for numbers out of range.
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
