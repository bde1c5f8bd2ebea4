"""Plan and apply the changes that hub.yaml makes to the database.

A plan is made in memory: the stored configuration is read, changed according to the file, and checked. Applying a plan
repeats this, and stores the changed objects if the changes are still those of the plan.
"""

from dataclasses import dataclass

from django.db import transaction

from ..models import ConfigurationVersion
from .application import Application
from .changes import Change
from .document import Document, Problem
from .draft import Draft
from .schema import read


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes that applying a file would make."""

    text: str
    file_name: str
    prune: bool
    changes: tuple[Change, ...] = ()
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    kept: tuple[str, ...] = ()  # objects from an earlier file that this one no longer has

    def messages(self) -> list[str]:
        """Return the errors as lines: file:line:column: path: message."""
        return [problem.within(self.file_name) for problem in self.errors]


class ConfigError(Exception):
    """The file can't be applied; nothing was changed."""

    def __init__(self, plan: Plan) -> None:
        super().__init__("\n".join(plan.messages()))
        self.plan = plan


class PlanOutdatedError(Exception):
    """The configuration changed between planning and applying; nothing was changed."""


def plan(text: str, *, file_name: str = "hub.yaml", prune: bool = False) -> Plan:
    """Return the changes that this text would make, or all errors in it. Only reads."""
    return _run(text, file_name, prune)[0]


def apply(planned: Plan) -> Plan:
    """Make a plan's changes, all or none, and return what was done.

    Raises ConfigError for a plan with errors, and PlanOutdatedError if its changes would now differ.
    """
    made, draft = _run(planned.text, planned.file_name, planned.prune)
    with transaction.atomic():
        # Makes replicas that start together apply their files one after the other.
        ConfigurationVersion.objects.get_or_create(pk=1)
        version = ConfigurationVersion.objects.select_for_update().get(pk=1)
        if (version.number, version.mark) != draft.stored.version:
            made, draft = _run(planned.text, planned.file_name, planned.prune)
        if made.errors:
            raise ConfigError(made)
        if made.changes != planned.changes:
            raise PlanOutdatedError(
                "The configuration was changed in the meantime. Review the changes again."
            )
        draft.write()
    return made


def _run(text: str, file_name: str, prune: bool) -> tuple[Plan, Draft]:
    document = Document()
    sections = read(document, text)
    draft = Draft(document, file_name)
    document.within_bounds(lambda: Application(draft, sections).run(prune))
    errors = tuple(sorted(document.problems, key=lambda problem: (problem.line, problem.column)))
    made = Plan(
        text=text,
        file_name=file_name,
        prune=prune,
        changes=() if errors else tuple(draft.changes),
        errors=errors,
        warnings=tuple(draft.warnings),
        kept=tuple(draft.kept),
    )
    return made, draft
