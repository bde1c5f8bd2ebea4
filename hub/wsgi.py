"""The WSGI application that gunicorn serves."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application

from exporters.management.production import refusal

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")

if _why := refusal(settings):
    raise ImproperlyConfigured(_why)

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


def below(path: str, application: Application) -> Application:
    """Let an application find its own paths if a proxy leaves the path of HUB_EXTERNAL_URL in front of them.

    Requests without that path pass unchanged: from a proxy that removes it, from probes, and from a Prometheus that
    connects to this hub directly.
    """

    def stripped(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        asked = environ.get("PATH_INFO", "")
        if asked == path or asked.startswith(path + "/"):
            environ["PATH_INFO"] = asked[len(path) :]
        return application(environ, start_response)

    return stripped if path else application


application = below(settings.FORCE_SCRIPT_NAME or "", get_wsgi_application())
