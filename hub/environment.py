"""Strict readers of HUB_* environment variables.

A setting that can't be understood stops the hub at start with the variable's name and what it takes: a typo
must not turn into a default. Each variable `HUB_X` can come from a file instead, named by `HUB_X_FILE` (the
way of Docker and Kubernetes secrets).
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar, overload

from django.core.exceptions import ImproperlyConfigured

from . import addresses

T = TypeVar("T")


def read(name: str) -> str | None:
    """Return the variable's text, from `name` or from the file that `name`_FILE names; None when neither is set.

    An empty variable counts as not set, as Compose and Kubernetes pass on variables that nobody filled in.
    """
    file_name = os.environ.get(f"{name}_FILE")
    value = os.environ.get(name)
    if file_name and value:
        raise ImproperlyConfigured(f"Both {name} and {name}_FILE are set; remove one of them.")
    if file_name:
        try:
            value = Path(file_name).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ImproperlyConfigured(
                f"{name}_FILE names {file_name}, which can't be read: {error}"
            ) from None
    return value or None


@overload
def text(name: str, default: str) -> str: ...
@overload
def text(name: str, default: None = None) -> str | None: ...
def text(name: str, default: str | None = None) -> str | None:
    value = read(name)
    return default if value is None else value


def boolean(name: str, default: bool) -> bool:
    def convert(value: str) -> bool:
        lowered = value.strip().lower()
        if lowered in {"1", "true", "yes", "on"}:
            return True
        if lowered in {"0", "false", "no", "off"}:
            return False
        raise ValueError

    return _converted(name, default, convert, "1 or 0 (also true/false, yes/no, on/off)")


def integer(name: str, default: int, *, minimum: int, maximum: int) -> int:
    def convert(value: str) -> int:
        number = int(value)
        if not minimum <= number <= maximum:
            raise ValueError
        return number

    return _converted(name, default, convert, f"a whole number from {minimum} to {maximum}")


def seconds(name: str, default: float, *, minimum: float, maximum: float) -> float:
    def convert(value: str) -> float:
        number = float(value)
        if not minimum <= number <= maximum:
            raise ValueError
        return number

    return _converted(name, default, convert, f"seconds, from {minimum:g} to {maximum:g}")


def choice(name: str, default: str, allowed: Sequence[str]) -> str:
    def convert(value: str) -> str:
        if value not in allowed:
            raise ValueError
        return value

    return _converted(name, default, convert, "one of " + ", ".join(allowed))


def external_url(name: str, default: str) -> str:
    """An address under which others reach the hub, normalised (hub/addresses.py)."""
    return _converted(
        name,
        default,
        addresses.external_url,
        "an address like https://hub.example.com or https://example.com/hub",
    )


def hosts(name: str) -> list[str]:
    """Hosts separated by commas or white space, normalised (hub/addresses.py)."""
    return _converted(
        name,
        [],
        lambda value: [addresses.allowed_host(word) for word in _words(value)],
        "names of hosts without scheme and port, like hub.example.com",
    )


def words(name: str, default: Sequence[str] = ()) -> list[str]:
    """A list separated by commas or white space."""
    value = read(name)
    return list(default) if value is None else _words(value)


def _words(value: str) -> list[str]:
    return value.replace(",", " ").split()


def _converted(name: str, default: T, convert: Callable[[str], T], takes: str) -> T:
    value = read(name)
    if value is None:
        return default
    # The value isn't repeated: a secret pasted into the wrong variable would end up in the log.
    try:
        return convert(value)
    except addresses.UnsupportedAddressError as error:
        raise ImproperlyConfigured(f"{name} is not supported: {error}. It takes {takes}.") from None
    except ValueError:
        raise ImproperlyConfigured(f"{name} is not understood; it takes {takes}.") from None
