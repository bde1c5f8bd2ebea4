"""What doesn't work at this moment although scrapes are answered: said by readiness and on every page of the admin."""

from . import moments, sharing
from .catalog import catalog

# A configuration is at most 5 s old while the database lives (HUB_CATALOG_SECONDS); what is older is told.
_OLD_SECONDS = 10.0


def shared_state() -> str:
    """Return `ok`, or what the loss of the shared state means. It is known from the last use, as nothing is asked."""
    if lost := sharing.shared().degraded():
        return f"not shared through {', '.join(lost)}: each process reads and budgets on its own"
    return "ok"


def sentences() -> list[str]:
    """Return one sentence for each thing that is degraded in this process; none in good times."""
    found = []
    age = catalog.age_seconds()
    if catalog.problem() and age > _OLD_SECONDS:
        found.append(
            f"The configuration could not be read for {moments.words(age)}. Scrapes go on with the last one; "
            "what is changed now has no effect on them until it can be read again."
        )
    if lost := sharing.shared().degraded():
        found.append(
            f"Scrapes share nothing through {', '.join(lost)} at this moment. They go on, but each process "
            "reads and budgets on its own."
        )
    return found
