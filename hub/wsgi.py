"""The WSGI application that gunicorn serves."""

import os

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application

from .production import refusal

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")

if _why := refusal(settings):
    raise ImproperlyConfigured(_why)

application = get_wsgi_application()
