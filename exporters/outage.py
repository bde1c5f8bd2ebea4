"""The configuration's copy on disk, for the day on which a fresh process finds the database down.

One file below HUB_DATA_DIR, encrypted with the key ring and bound to its purpose and its database: a copy of
another database is never taken for this one's. Its time of change says when the copy was last known to be
right. SQLite needs no such copy, as its file lies in the same folder.
"""

import hashlib
import json
import logging
import os
import tempfile
import time
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

from django.conf import settings

from .secrets import Sealed, UndecryptableError, key_ring

logger = logging.getLogger(__name__)

T = TypeVar("T")

FILE_NAME = "configuration.sealed"


class OutageCopy(Generic[T]):
    """Keeps one frozen dataclass, with everything below it, in a file. Never raises: it is only a help."""

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind
        self._failing = False

    @property
    def path(self) -> Path:
        return Path(settings.HUB_DATA_DIR) / FILE_NAME

    def write(self, value: T) -> None:
        """Replace the copy, in one step: a reader sees the former one or the new one."""
        sealed = key_ring().seal(json.dumps(encode(value), separators=(",", ":")), _binding())
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # mkstemp makes a file that only this user can read, from its first byte on. No fsync: a copy that
            # a power cut has damaged doesn't decrypt and is not used.
            descriptor, name = tempfile.mkstemp(prefix=FILE_NAME, dir=self.path.parent)
            try:
                with os.fdopen(descriptor, "w", encoding="ascii") as file:
                    file.write(sealed.ciphertext)
                os.replace(name, self.path)
            except BaseException:
                os.unlink(name)
                raise
        except OSError as error:
            if not self._failing:
                logger.warning("The configuration's copy for outages can't be written: %s", error)
            self._failing = True
        else:
            self._failing = False

    def confirm(self) -> bool:
        """Note that the copy is right at this moment; tell whether there is one."""
        try:
            os.utime(self.path)
        except OSError:
            return False
        return True

    def read(self) -> tuple[T, float] | None:
        """Return the copy and its age since it was last known to be right, in seconds; None without one."""
        try:
            text = self.path.read_text(encoding="ascii")
            age = max(0.0, time.time() - self.path.stat().st_mtime)
            value = decode(self._kind, json.loads(key_ring().open(Sealed(text), _binding())))
        except FileNotFoundError:
            return None
        except OSError as error:
            logger.warning("The configuration's copy for outages can't be read: %s", error)
            return None
        except UndecryptableError:
            logger.warning(
                "The configuration's copy for outages is not used: it was made with other encryption keys or "
                "for another database, or is damaged."
            )
            return None
        except (ValueError, TypeError, KeyError, AttributeError):
            # Not the error's own text, which can show values.
            logger.warning(
                "The configuration's copy for outages is not used: another version of the hub made it."
            )
            return None
        return value, age


def _binding() -> str:
    database = settings.DATABASES["default"]
    identity = [str(database.get(key) or "") for key in ("ENGINE", "HOST", "PORT", "NAME")]
    return "configuration copy of " + hashlib.sha256("\0".join(identity).encode()).hexdigest()


def encode(value: Any) -> Any:
    """Return a frozen dataclass, with all below it, as what JSON can hold; TypeError names what it can't."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if is_dataclass(value):
        return {field.name: encode(getattr(value, field.name)) for field in fields(value) if field.init}
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, tuple | frozenset | list):
        return [encode(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(
        f"A configuration holds plain values only, so that it can be kept; not {type(value).__name__}."
    )


def decode(hint: Any, value: Any) -> Any:
    """Return what `encode` made of a value of this type. A field that is missing takes its default.

    Raises TypeError, ValueError, KeyError or AttributeError for anything that doesn't fit the type.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        (hint,) = (argument for argument in arguments if argument is not type(None))
        return decode(hint, value)
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(decode(arguments[0], item) for item in value)
        return tuple(decode(argument, item) for argument, item in zip(arguments, value, strict=True))
    if origin is frozenset:
        return frozenset(decode(arguments[0], item) for item in value)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {decode(arguments[0], key): decode(arguments[1], item) for key, item in value.items()}
    if hint is datetime:
        return datetime.fromisoformat(value)
    if is_dataclass(hint) and isinstance(hint, type):
        hints = _hints(hint)
        return hint(**{name: decode(hints[name], item) for name, item in value.items() if name in hints})
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint in (str, int, float, bool) and type(value) is hint:
        return value
    raise TypeError("A value doesn't fit the configuration.")


@lru_cache(maxsize=64)
def _hints(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind)
