"""The management requests of one read: each within the budget, repeated while the service throttles."""

from .budget import Budget
from .client import Client, ThrottledError
from .connection import Endpoint
from .credentials import Credential
from .errors import Reason, ServiceBusError

# A request that is throttled is repeated, as far as the slowed-down budget allows, before its part of the read fails.
_ATTEMPTS = 3
# A refused token is renewed once; then the spare one has its turn.
_REFUSALS = 2
# Bodies of one read together. 20,000 queues with twelve AuthorizationRules each have 300 MB.
MAX_READ_BYTES = 536_870_912


class Requests:
    """Sends them, and counts how many were sent and how many of these were throttled."""

    def __init__(
        self, client: Client, endpoint: Endpoint, credential: Credential, budget: Budget, deadline: float
    ) -> None:
        """`deadline`: a value of the running loop's time()."""
        self._client = client
        self._endpoint = endpoint
        self._credential = credential
        self._budget = budget
        self._deadline = deadline
        self.sent = 0
        self.throttled = 0
        self._received = 0

    async def get(self, path: str, wait_until: float | None = None) -> bytes:
        """Return the answer's body; `path` is quoted already. Raises ServiceBusError by cause.

        `wait_until`: until when the budget may be waited for, the deadline when left out. A request that is refused
        (401) is repeated as far as the credential has something else to show: a new token, a spare secret.
        """
        authorization = await self._credential.authorization(self._endpoint)
        attempts, refusals = _ATTEMPTS, 0
        while True:
            await self._budget.acquire(self._deadline if wait_until is None else wait_until)
            self.sent += 1
            try:
                body = await self._client.get(self._endpoint, path, authorization)
            except ThrottledError as error:
                self.throttled += 1
                await self._budget.throttled(error.retry_after)
                attempts -= 1
                if not attempts:
                    raise
            except ServiceBusError as error:
                if error.reason is not Reason.UNAUTHORIZED or refusals == _REFUSALS:
                    raise
                other = await self._credential.after_refusal(self._endpoint, authorization)
                if other is None:
                    raise
                authorization, refusals = other, refusals + 1
            else:
                self._received += len(body)
                if self._received > MAX_READ_BYTES:
                    raise ServiceBusError(
                        Reason.TOO_LARGE,
                        f"The namespace sends more than {MAX_READ_BYTES} bytes for one read.",
                    )
                return body
