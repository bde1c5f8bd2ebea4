"""Degraded functions while scrapes still work: shown by the readiness probe and on every page of the admin."""

from collections.abc import Mapping

from .. import formatting
from .. import shared_state as sharing
from ..configuration.reloader import reloader

# A configuration is at most 5 s old while the database responds (HUB_RELOAD_SECONDS); report anything older.
_OLD_SECONDS = 10.0


def shared_state() -> str:
    """Return `ok`, or the cause and effect of losing the shared state, as of the last use or probe."""
    lost = sharing.shared().degraded()
    if not lost:
        return "ok"
    return f"not shared through {_reasons(lost)} {_consequence(lost)}"


def sentences() -> list[str]:
    """Return one sentence for each degraded function of this process; normally none."""
    found = []
    age = reloader.age_seconds()
    if reloader.problem() and age > _OLD_SECONDS:
        found.append(
            f"The configuration could not be read for {formatting.words(age)}. Scrapes continue with the last one; "
            "changes take effect when it can be read again."
        )
    if lost := sharing.shared().degraded():
        found.append(
            f"Scrapes can't share reads through {_reasons(lost)} They continue. {_consequence(lost)}"
        )
    return found


def _reasons(lost: Mapping[str, str]) -> str:
    return " ".join(f"{name}: {reason}" for name, reason in lost.items())


def _consequence(lost: Mapping[str, str]) -> str:
    alone = "process" if "files" in lost else "replica"
    return f"Each {alone} reads separately, with its own budget."
