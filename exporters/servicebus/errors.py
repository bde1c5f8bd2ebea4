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


# There is no usable credential, or no trusted host: no request of the read can succeed.
HOPELESS = frozenset({Reason.CREDENTIAL, Reason.DNS, Reason.TLS})
# The host refuses the credential.
REFUSED = frozenset({Reason.UNAUTHORIZED, Reason.FORBIDDEN})
# There is no connection to the host: every request would fail for this reason, after a long wait.
UNREACHABLE = frozenset({Reason.DNS, Reason.TLS, Reason.CONNECTION})
# The namespace's budget or Service Bus allowed too few requests.
TOO_FEW_REQUESTS = frozenset({Reason.BUDGET, Reason.THROTTLED})
# The scrape's own time was too short for the requests that the read needs.
TOO_SLOW = frozenset({Reason.TIMEOUT, Reason.BUDGET})
# The read lacked time that a scrape with a later deadline may have.
OUT_OF_TIME = frozenset({Reason.TIMEOUT, Reason.OVERLOADED})


class ServiceBusError(Exception):
    """A read that failed for one of the known reasons.

    The message is shown to users and written to logs, so it never contains a response body, a header or a secret:
    an entity's entry can contain its AuthorizationRules, which hold keys.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
