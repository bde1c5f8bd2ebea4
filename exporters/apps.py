from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class ExportersConfig(AppConfig):
    name = "exporters"
    verbose_name = "Service Bus"

    def ready(self) -> None:
        from hub import read_only  # noqa: F401 - connects its receiver

        from . import (
            audit,  # noqa: F401 - connects its receiver
            checks,
            internal_errors,  # noqa: F401 - connects its receiver
            signals,  # noqa: F401 - connects the receivers
        )

        checks.register()


class HubAdminConfig(AdminConfig):
    """Django's admin with the hub's own start page."""

    default_site = "exporters.site.HubAdminSite"
