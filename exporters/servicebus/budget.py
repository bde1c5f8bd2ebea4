"""How many management requests a second a namespace may be asked."""

from typing import Protocol


class Budget(Protocol):
    """Asked before every management request."""

    async def acquire(self, deadline: float) -> None:
        """Wait for leave to send one request; raise ServiceBusError (budget) when the deadline comes first.

        `deadline` is a value of the running loop's time().
        """
        ...

    def throttled(self, retry_after: float | None) -> None:
        """Take note of a 429 or 503; `retry_after` in seconds."""
        ...

    def succeeded(self) -> None:
        """Take note of any other answer."""
        ...


class Unlimited:
    """Asks nobody."""

    async def acquire(self, deadline: float) -> None:
        """Return at once."""

    def throttled(self, retry_after: float | None) -> None:
        """Take no note."""

    def succeeded(self) -> None:
        """Take no note."""
