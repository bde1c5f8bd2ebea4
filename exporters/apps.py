from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class ExportersConfig(AppConfig):
    name = "exporters"
    verbose_name = "Service Bus"

    def ready(self) -> None:
        from . import checks
        from .access import audit  # noqa: F401 - connects its receiver
        from .configuration import signals  # noqa: F401 - connects the receivers
        from .database_sessions import read_only  # noqa: F401 - connects its receiver
        from .telemetry import internal_errors  # noqa: F401 - connects its receiver

        checks.register()


class HubAdminConfig(AdminConfig):
    """Django's admin with the hub's start page."""

    default_site = "exporters.site.HubAdminSite"
