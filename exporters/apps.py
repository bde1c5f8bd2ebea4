from django.apps import AppConfig


class ExportersConfig(AppConfig):
    name = "exporters"
    verbose_name = "Service Bus"

    def ready(self) -> None:
        from . import (
            checks,
            signals,  # noqa: F401 - connects the receivers
        )

        checks.register()
