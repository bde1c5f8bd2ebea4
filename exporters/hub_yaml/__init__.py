"""Import hub.yaml into the database, and export it.

Everything that depends on the file's format is here. What makes a value valid is decided by `models`, for the file and
for the admin's forms alike.
"""

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
