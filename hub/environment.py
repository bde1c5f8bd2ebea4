"""Strict readers of HUB_* environment variables.

An invalid setting stops the hub at startup with the variable's name and what it accepts: a typo must not turn into a
default. Each variable `HUB_X` can come from a file instead, named by `HUB_X_FILE` (the convention of Docker and
Kubernetes secrets).
"""

import os
import re
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import TypeVar, overload

from django.core.exceptions import ImproperlyConfigured

from . import addresses

T = TypeVar("T")
Network = IPv4Network | IPv6Network

# More than any key ring or list of hosts needs.
MAX_SETTING_CHARACTERS = 65_536
_LONGEST_PATH = 3_000  # Linux accepts 4,095 bytes, and file names are appended
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SEPARATOR = re.compile(r"[\t\r\n]")
_INTEGER = re.compile(r"[0-9]{1,18}")
_DECIMAL = re.compile(r"[0-9]{1,9}(?:\.[0-9]{0,9})?")


def read(name: str) -> str | None:
    """Return the variable's text, from `name` or from the file that `name`_FILE names; None if neither is set.

    An empty variable counts as not set, because Compose and Kubernetes also pass variables that nobody filled in.
    """
    file_name = os.environ.get(f"{name}_FILE")
    value = os.environ.get(name)
    if file_name and value:
        raise ImproperlyConfigured(f"Both {name} and {name}_FILE are set; remove one of them.")
    if file_name:
        try:
            with open(file_name, encoding="utf-8") as file:
                value = file.read(MAX_SETTING_CHARACTERS + 2).rstrip("\r\n")
        except OSError as error:
            raise ImproperlyConfigured(
                f"{name}_FILE names {shown(file_name)}, which can't be read: {error.strerror}."
            ) from None
        except UnicodeDecodeError:
            raise ImproperlyConfigured(f"{name}_FILE names {shown(file_name)}, which is not UTF-8.") from None
    if not value:
        return None
    if problem := _problem(value):
        raise ImproperlyConfigured(f"{name} {problem}.")
    return value


def _problem(value: str) -> str:
    """Return why this value is invalid for any setting; empty if it isn't."""
    if len(value) > MAX_SETTING_CHARACTERS:
        return f"is longer than {MAX_SETTING_CHARACTERS} characters"
    if not value.strip():
        return "contains only white space; set a value, or leave it empty"
    if any("\ud800" <= character <= "\udfff" for character in value):
        return "is not UTF-8"
    if _CONTROL.search(value):
        return "contains a control character"
    return ""


def shown(path: str) -> str:
    """Return a path in a form that fits into one line of an error."""
    printable = "".join(character if character.isprintable() else "?" for character in path)
    return printable if len(printable) <= 100 else printable[:100] + "..."


def file(name: str) -> str | None:
    """Return the path of an existing file."""
    value = text(name)
    if value is not None and not _is(os.path.isfile, value):
        raise ImproperlyConfigured(f"{name} names {shown(value)}, which is not a file.")
    return value


def folder(name: str, default: Path, *, is_there: bool) -> Path:
    """Return the absolute path of a folder. `is_there`: if set, the folder must exist."""
    value = text(name)
    if value is None:
        return default.absolute()
    if not _is(os.path.isdir, value) and (
        is_there or _is(os.path.lexists, value) or len(value) > _LONGEST_PATH
    ):
        raise ImproperlyConfigured(f"{name} names {shown(value)}, which is not a folder.")
    return Path(value).absolute()


def _is(kind: Callable[[str], bool], path: str) -> bool:
    try:
        return kind(path)
    except (OSError, ValueError):
        return False


@overload
def text(name: str, default: str) -> str: ...
@overload
def text(name: str, default: None = None) -> str | None: ...
def text(name: str, default: str | None = None) -> str | None:
    value = read(name)
    if value is not None and _SEPARATOR.search(value):
        raise ImproperlyConfigured(f"{name} has more than one line, or a tab.")
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
    takes = f"a whole number from {minimum} to {maximum}"
    return int(_number(name, default, _INTEGER, minimum, maximum, takes))


def seconds(name: str, default: float, *, minimum: float, maximum: float) -> float:
    return _number(
        name, default, _DECIMAL, minimum, maximum, f"a number of seconds from {minimum:g} to {maximum:g}"
    )


def _number(
    name: str, default: float, pattern: re.Pattern[str], minimum: float, maximum: float, takes: str
) -> float:
    def convert(value: str) -> float:
        if not pattern.fullmatch(value.strip()) or not minimum <= float(value) <= maximum:
            raise ValueError
        return float(value)

    return _converted(name, default, convert, takes)


def choice(name: str, default: str, allowed: Sequence[str]) -> str:
    def convert(value: str) -> str:
        if value not in allowed:
            raise ValueError
        return value

    return _converted(name, default, convert, "one of " + ", ".join(allowed))


def external_url(name: str, default: str) -> str:
    """Return an address at which others reach the hub, normalized (hub/addresses.py)."""
    return _converted(
        name,
        default,
        addresses.external_url,
        "an address like https://hub.example.com or https://example.com/hub",
    )


def hosts(name: str) -> list[str]:
    """Return hosts separated by commas or white space, normalized (hub/addresses.py)."""
    return _converted(
        name,
        [],
        lambda value: [addresses.allowed_host(word) for word in _words(value)],
        "host names without a scheme or port, like hub.example.com",
    )


def networks(name: str) -> list[Network]:
    """Return addresses and networks separated by commas or white space; ::ffff:10.0.0.1 becomes 10.0.0.1."""
    return _converted(
        name,
        [],
        lambda value: [_network(word) for word in _words(value)],
        "addresses or networks, for example 10.0.0.0/8",
    )


def _network(text: str) -> Network:
    network = ip_network(text)
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    return network if mapped is None else ip_network((mapped, network.prefixlen - 96))


def words(name: str, default: Sequence[str] = ()) -> list[str]:
    """Return a list separated by commas or white space."""
    value = read(name)
    return list(default) if value is None else _words(value)


def _words(value: str) -> list[str]:
    return value.replace(",", " ").split()


def _converted(name: str, default: T, convert: Callable[[str], T], takes: str) -> T:
    value = read(name)
    if value is None:
        return default
    # Don't repeat the value: a secret pasted into the wrong variable would end up in the log.
    try:
        return convert(value)
    except addresses.UnsupportedAddressError as error:
        raise ImproperlyConfigured(f"{name} is invalid: {error}. Use {takes}.") from None
    except ValueError:
        raise ImproperlyConfigured(f"{name} is invalid. Use {takes}.") from None
