"""Messages to the next page, in a cookie beside the session's."""

from typing import Any

from django.conf import settings
from django.contrib.messages.storage.cookie import CookieStorage
from django.contrib.messages.storage.fallback import FallbackStorage
from django.contrib.messages.storage.session import SessionStorage
from django.http import HttpResponseBase


class _BelowThePath(CookieStorage):
    """Django's own cookie goes to all paths of the host, so also to other applications there."""

    cookie_name = "hub_messages"

    def _update_cookie(self, encoded_data: Any, response: HttpResponseBase) -> None:
        super()._update_cookie(encoded_data, response)  # type: ignore[misc] # not in the stubs
        response.cookies[self.cookie_name]["path"] = settings.SESSION_COOKIE_PATH


class Storage(FallbackStorage):
    """The cookie, or the session for what doesn't fit into it."""

    storage_classes = (_BelowThePath, SessionStorage)
