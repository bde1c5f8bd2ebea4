"""Patterns that users enter: RE2 syntax as in Prometheus, within limits."""

from functools import lru_cache
from typing import Any

import re2

MAX_PATTERN_CHARACTERS = 10_000
# The size of RE2's compiled form, which expands every repetition and holds every character class as ranges of bytes:
# `\pL{18}` fits, `\pL{19}` doesn't. Compiling the largest pattern that fits takes about 10 ms.
MAX_PATTERN_BYTES = 524_288


def pattern_problem(pattern: str) -> str:
    """Return why a pattern can't be used, with RE2's own message and the position; empty if it can."""
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        return (
            f"This pattern has {len(pattern):,} characters; at most {MAX_PATTERN_CHARACTERS:,} are allowed."
        )
    try:
        encoded = pattern.encode()
    except UnicodeEncodeError as error:
        return f"This pattern contains an unpaired surrogate (at character {error.start + 1})."
    try:
        # First without the wrapper of compile_pattern, so that the error refers to what was entered.
        re2.compile(encoded, _options())
        compile_pattern(pattern)
    except re2.error as error:
        said = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        if "too large" in said:
            return (
                f"This pattern takes more than {MAX_PATTERN_BYTES // 1024} KiB when compiled by RE2. Use fewer "
                "repetitions or smaller character classes: [a-z] instead of \\pL."
            )
        return f"RE2 rejects this pattern: {said}{_place(pattern, said)}."
    return _beyond_go(pattern)


@lru_cache(maxsize=512)
def compile_pattern(pattern: str) -> Any:
    """Return RE2's object for a pattern that must match the whole text; a dot matches line ends too."""
    return re2.compile(f"(?s:{pattern})".encode(), _options())


def instructions(pattern: str) -> int:
    """Return the size of the compiled pattern, which determines the cost of compiling and matching; 0 if invalid."""
    try:
        return int(compile_pattern(pattern)._regexp.ProgramSize())
    except re2.error:
        return 0


def _beyond_go(pattern: str) -> str:
    """Return why Go, and therefore Prometheus, refuses a pattern that RE2's C++ accepts; empty if both accept it."""
    for name in compile_pattern(pattern).groupindex:
        if not name.isascii():
            return f"Prometheus rejects this pattern: the group name “{name.decode()}” must consist of ASCII letters."
    position = pattern.find("\\")
    while position >= 0:
        escape = pattern[position : position + 2]
        if escape == "\\C":
            return f"Prometheus rejects this pattern: invalid escape sequence: \\C (at character {position + 1})."
        end = pattern.find("\\E", position) if escape == "\\Q" else position
        position = pattern.find("\\", end + 2) if end >= 0 else -1
    return ""


def _place(pattern: str, said: str) -> str:
    """Return the position of RE2's error: RE2 quotes the text after a colon, or all of it if something is missing."""
    fragment = said.partition(": ")[2]
    if fragment == pattern:
        return f" (at character {len(pattern) + 1})" if said.startswith("missing") else ""
    if fragment and pattern.count(fragment) == 1:
        return f" (at character {pattern.index(fragment) + 1})"
    return ""


def _options() -> Any:
    options = re2.Options()
    options.log_errors = False  # RE2 would print to standard error
    options.max_mem = MAX_PATTERN_BYTES
    return options
