"""Whether the host has accepted a credential, and how few requests it gets until then."""

from typing import Protocol

from .errors import ServiceBusError
from .request_rate import Allowance, Update

# A team's allowance for requests to one host with credentials that the host has not accepted yet. A team without a
# valid credential can't use more of a host's budget than this.
UNPROVEN = Allowance(requests_per_second=0.1, burst=3)
UNPROVEN_MESSAGE = (
    "Service Bus has not accepted this credential so far. Until it does, the team can send one request every 10 s "
    "with such credentials."
)


class Proof(Protocol):
    """Whether a read's credential is proven: whether the host has accepted it."""

    async def is_proven(self) -> bool:
        """Return whether the host has accepted the credential."""
        ...

    async def note(self, accepted: bool) -> None:
        """Record that the host accepted the credential, or that it now refuses it."""
        ...

    async def failed(self, error: ServiceBusError) -> None:
        """Record why a request with a credential that the host has not accepted failed."""
        ...

    def former_failure(self) -> ServiceBusError | None:
        """Return why a recent request with the credential failed, if that is known."""
        ...

    @property
    def update(self) -> Update:
        """Return the Update of the bucket for the team's requests with credentials that the host has not accepted."""
        ...
