"""Patterns that people enter: RE2, as Prometheus takes them, within bounds."""

from functools import lru_cache
from typing import Any

import re2

MAX_PATTERN_CHARACTERS = 10_000
# Of RE2's compiled form, which holds every repetition written out and every class of letters as ranges of bytes:
# `\pL{18}` fits, `\pL{19}` doesn't. To compile the largest that fits takes about 10 ms.
MAX_PATTERN_BYTES = 524_288


def pattern_problem(pattern: str) -> str:
    """Return why a pattern can't be used, in RE2's own words and with the place; empty when it can."""
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        return (
            f"This pattern has {len(pattern):,} characters; at most {MAX_PATTERN_CHARACTERS:,} are allowed."
        )
    try:
        encoded = pattern.encode()
    except UnicodeEncodeError as error:
        return f"This pattern holds half a character (at character {error.start + 1})."
    try:
        # First alone, so that the error is about what was entered.
        re2.compile(encoded, _options())
        compile_pattern(pattern)
    except re2.error as error:
        said = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        if "too large" in said:
            return (
                f"This pattern takes more than {MAX_PATTERN_BYTES // 1024} KiB when RE2 has compiled it. Repeat less, "
                "or repeat smaller classes: [a-z] instead of \\pL."
            )
        return f"RE2 refuses this pattern: {said}{_place(pattern, said)}."
    return _beyond_go(pattern)


@lru_cache(maxsize=512)
def compile_pattern(pattern: str) -> Any:
    """Return RE2's object for a pattern that must match the whole text; a dot matches line ends too."""
    return re2.compile(f"(?s:{pattern})".encode(), _options())


def instructions(pattern: str) -> int:
    """Return the size of the compiled pattern, which is what compiling and matching it cost; 0 for one that is none."""
    try:
        return int(compile_pattern(pattern)._regexp.ProgramSize())
    except re2.error:
        return 0


def _beyond_go(pattern: str) -> str:
    """Return what RE2's C++ takes and Go, and so Prometheus, does not; empty where they agree."""
    for name in compile_pattern(pattern).groupindex:
        if not name.isascii():
            return f"Prometheus refuses this pattern: the group's name “{name.decode()}” must be of ASCII letters."
    position = pattern.find("\\")
    while position >= 0:
        escape = pattern[position : position + 2]
        if escape == "\\C":
            return f"Prometheus refuses this pattern: invalid escape sequence: \\C (at character {position + 1})."
        end = pattern.find("\\E", position) if escape == "\\Q" else position
        position = pattern.find("\\", end + 2) if end >= 0 else -1
    return ""


def _place(pattern: str, said: str) -> str:
    """Return where RE2 stumbled: it names the text after a colon, all of it where something is missing."""
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
