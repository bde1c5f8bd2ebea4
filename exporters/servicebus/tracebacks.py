"""What a log may show of an unexpected exception."""

import traceback

# How many exceptions of one chain or group, and how many frames of one exception, are shown.
_SHOWN = 10
_FRAMES = 50


def frames(error: BaseException) -> str:
    """Return the types and frames of an exception, of its causes and of the members of a group.

    The exceptions' messages are left out: they can contain a part of a response or a secret.
    """
    parts: list[str] = []
    waiting = [error]
    seen: set[int] = set()
    while waiting and len(seen) < _SHOWN:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        parts.append(f"{type(each).__qualname__}\n")
        parts += traceback.format_tb(each.__traceback__, limit=-_FRAMES)
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions
        waiting += (cause for cause in (each.__cause__, each.__context__) if cause is not None)
    return "".join(parts).rstrip()
