"""Import hub.yaml into the database, and export it."""

from .changes import Change, FieldChange
from .document import Problem
from .export import export
from .plan import ConfigError, Plan, PlanOutdatedError, apply, plan

__all__ = [
    "Change",
    "ConfigError",
    "FieldChange",
    "Plan",
    "PlanOutdatedError",
    "Problem",
    "apply",
    "export",
    "plan",
]
