"""Django's diffsettings with the secrets masked, because people paste its output into tickets."""

from collections.abc import Callable
from typing import Any

from django.core.management.commands import diffsettings
from django.views.debug import SafeExceptionReporterFilter

# Can contain a password, although the name doesn't suggest it.
_SECRET = {"HUB_REDIS_URL"}


def _is_no_setting(name: str) -> bool:
    return name.startswith("_") or not name.isupper()


def _masked(module: Any, omittable: Callable[[str], bool] = _is_no_setting) -> dict[str, str]:
    mask = SafeExceptionReporterFilter()
    return {
        name: repr(
            mask.cleansed_substitute if name in _SECRET else mask.cleanse_setting(name, getattr(module, name))
        )
        for name in dir(module)
        if not omittable(name)
    }


class Command(diffsettings.Command):
    help = "Show the settings that differ from Django's defaults, with secrets masked."

    def handle(self, **options: Any) -> str:
        diffsettings.module_to_dict = _masked  # type: ignore[attr-defined, unused-ignore]
        return str(super().handle(**options))
