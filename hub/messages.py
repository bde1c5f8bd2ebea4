"""Messages for the next page, in their own cookie."""

from typing import Any

from django.conf import settings
from django.contrib.messages.storage.cookie import CookieStorage
from django.contrib.messages.storage.fallback import FallbackStorage
from django.contrib.messages.storage.session import SessionStorage
from django.http import HttpResponseBase


class _BelowThePath(CookieStorage):
    """A cookie limited to the hub's path: browsers send Django's own one to all applications on the host."""

    cookie_name = "hub_messages"

    def _update_cookie(self, encoded_data: Any, response: HttpResponseBase) -> None:
        super()._update_cookie(encoded_data, response)  # type: ignore[misc] # not in the stubs
        response.cookies[self.cookie_name]["path"] = settings.SESSION_COOKIE_PATH


class Storage(FallbackStorage):
    """The cookie, with the session for messages that don't fit."""

    storage_classes = (_BelowThePath, SessionStorage)
