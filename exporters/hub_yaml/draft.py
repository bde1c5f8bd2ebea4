"""What a file makes of the stored configuration: changes in memory and problems, until `write` stores the changes."""

from collections.abc import Callable
from typing import Any

from ..configuration.signals import as_one_change
from ..models import Credential, Namespace, Team
from .changes import Change
from .document import Document, Problem, suggestion
from .schema import KIND_OF, Entry
from .stored import Stored


class Draft:
    """The configuration that the file describes. Planning writes nothing, so it holds no lock."""

    def __init__(self, document: Document, file_name: str) -> None:
        self.document = document
        # The history keeps 100 characters; the end of a long path is more useful than its beginning.
        self.file_name = file_name[-70:]
        self.stored = Stored()
        self.writes: list[Callable[[], object]] = []
        self.changes: list[Change] = []
        self.warnings: list[Problem] = []
        self.kept: list[str] = []
        self.faulty: set[tuple[str, str]] = set()  # references to these don't get their own error

    @property
    def reason(self) -> str:
        """The reason for the changes, as recorded in the history."""
        return f"imported from {self.file_name}"

    def find(self, entry: Entry, key: str, name: str) -> Any:
        """Return the object that a key refers to; if there is none, report a problem and return None."""
        kind = {"team": KIND_OF[Team], "credential": KIND_OF[Credential]}.get(key, KIND_OF[Namespace])
        if (kind.section, name) in self.faulty:
            entry.faulty = True
            return None
        # Credentials: the team's own first, then the platform's.
        own = entry.get("team") or "" if kind.model is Credential else ""
        found = self.stored.named(kind.model, name, own) or self.stored.named(kind.model, name)
        if found is None:
            entry.report(
                key,
                f"There is no {kind.word} “{name}” in this file or in the hub."
                f"{suggestion(name, self.stored.names(kind.model))}",
            )
        return found

    def warn(self, entry: Entry, name: str, message: str) -> None:
        self.warnings.append(entry.nodes.get(name, entry.node).problem(message))

    def write(self) -> None:
        """Store the changes in the file's order, within the caller's transaction."""
        if not self.writes:
            return
        with as_one_change():
            for change in self.writes:
                change()
