"""Which namespace to read, and how."""

from dataclasses import dataclass, field

from .connection import Endpoint
from .credentials import Credential
from .schedule import LastRead


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What to read, and how."""

    endpoint: Endpoint
    credential: Credential
    entity_path: str = ""  # a queue or a topic: read only that one
    include: str = ""  # RE2 that the whole name of a queue or topic must match; empty: all
    exclude: str = ""
    concurrency: int = 16  # requests under way at a time
    max_entities: int = 20_000
    # How many pages each listing had in the last read; the caller keeps this between reads. That many pages are
    # requested at once. Otherwise, each page has to wait until the one before announces it.
    known_pages: dict[str, int] = field(default_factory=dict)
    # Returns the last read's snapshot. Used if the budget doesn't allow reading everything: its subscriptions are then
    # shown until they are max_age_seconds old.
    last_read: LastRead | None = None
    max_age_seconds: float = 300.0
