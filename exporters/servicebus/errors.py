"""Why a read failed, in the words that operators search for."""

from enum import StrEnum


class Reason(StrEnum):
    """The causes that `servicebus_scrape_error{reason}` distinguishes."""

    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    DNS = "dns"
    TLS = "tls"
    CONNECTION = "connection"
    TIMEOUT = "timeout"
    THROTTLED = "throttled"
    SERVER_ERROR = "server_error"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    CHANGED = "changed"
    CREDENTIAL = "credential"
    BUDGET = "budget"
    OVERLOADED = "overloaded"
    INTERNAL = "internal"


class ServiceBusError(Exception):
    """A read that failed for one of the known reasons.

    The message is shown to users and written to logs, so it never contains a response body, a header or a secret:
    an entity's entry can contain its AuthorizationRules, which hold keys.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
