"""The management requests of one read: each within the budget, and retried while the service throttles."""

import asyncio

from .budget import Budget
from .client import Client, ThrottledError
from .connection import Endpoint
from .credentials import Credential
from .errors import UNREACHABLE, Reason, ServiceBusError
from .parallelism import Parallelism

# A throttled request is sent up to this many times, as far as the reduced budget allows, before its part of the read
# fails.
_ATTEMPTS = 3
# A refused token is renewed once; then the spare credential is tried.
_REFUSALS = 2
# All bodies of one read together. 20,000 queues with twelve AuthorizationRules each take 300 MB.
MAX_READ_BYTES = 536_870_912


class Requests:
    """Sends the requests of one read, and counts them and those that were throttled."""

    def __init__(
        self,
        client: Client,
        endpoint: Endpoint,
        credential: Credential,
        budget: Budget,
        deadline: float,
        parallelism: Parallelism,
    ) -> None:
        """`deadline`: a value of the running loop's time()."""
        self._client = client
        self._endpoint = endpoint
        self._credential = credential
        self._budget = budget
        self._deadline = deadline
        self._parallelism = parallelism
        self.sent = 0
        self.throttled = 0
        self._received = 0
        # Until the host has accepted the credential, requests go out one at a time.
        self._unproven = asyncio.Lock()
        self._unproven_error: ServiceBusError | None = None
        # The tasks whose requests are under way, in order, and when these began (the loop's time).
        self._under_way: dict[asyncio.Task[None], float] = {}
        self._is_over = False

    async def get(self, path: str, wait_until: float | None = None) -> bytes:
        """Return the response's body; `path` is already quoted. Raises ServiceBusError by cause.

        `wait_until`: how long to wait for the budget; by default, until the deadline. A refused request (401) is
        retried if the credential has another value to send: a new token, or a spare secret.
        """
        authorization = await self._credential.authorization(self._endpoint)
        if await self._budget.is_proven():
            return await self._get(path, authorization, wait_until)
        async with self._unproven:
            if not await self._budget.is_proven():
                return await self._get_unproven(path, authorization, wait_until)
        return await self._get(path, authorization, wait_until)

    async def _get_unproven(self, path: str, authorization: str, wait_until: float | None) -> bytes:
        former = self._unproven_error
        if former is not None and former.reason in UNREACHABLE:
            raise former
        try:
            body = await self._get(path, authorization, wait_until)
        except ServiceBusError as error:
            # The host's own failure is more informative than the lack of budget for another request.
            if error.reason is Reason.BUDGET:
                raise former or self._budget.former_failure() or error from None
            self._unproven_error = error
            await self._budget.failed(error)
            raise
        await self._budget.answered(accepted=True)
        return body

    async def _get(self, path: str, authorization: str, wait_until: float | None) -> bytes:
        attempts, refusals = _ATTEMPTS, 0
        while True:
            until = self._deadline if wait_until is None else wait_until
            if self._unproven_error is not None:
                until = 0.0  # after a failure before the proof, waiting for the budget is not worthwhile
            await self._budget.acquire(until)
            self.sent += 1
            try:
                body = await self._ask(path, authorization)
            except ThrottledError as error:
                self.throttled += 1
                await self._budget.throttled(error.retry_after)
                attempts -= 1
                if not attempts:
                    raise
            except ServiceBusError as error:
                if error.reason is not Reason.UNAUTHORIZED:
                    raise
                other = None
                if refusals < _REFUSALS:
                    other = await self._credential.after_refusal(self._endpoint, authorization)
                if other is None:
                    await self._budget.answered(accepted=False)
                    raise
                authorization, refusals = other, refusals + 1
            else:
                self._received += len(body)
                if self._received > MAX_READ_BYTES:
                    raise ServiceBusError(
                        Reason.TOO_LARGE,
                        f"The namespace sent more than {MAX_READ_BYTES} bytes for one read.",
                    )
                return body

    def allowed(self, waiting: int) -> int:
        """Return how many requests may be under way at a time while `waiting` requests wait."""
        if not self._parallelism.may_grow:
            return self._parallelism.most
        now = asyncio.get_running_loop().time()
        since = next(iter(self._under_way.values()), now)
        return self._parallelism.allowed(waiting, now - since, self._deadline - now)

    def leave(self, task: "asyncio.Task[None]") -> bool:
        """End the read at its deadline. Return whether the task goes on until it has its response.

        A connection can't be reused unless its response is read to the end, and a new connection costs more than that.
        """
        self._is_over = True
        return task in self._under_way and self._client.leave(self._endpoint, task)

    async def _ask(self, path: str, authorization: str) -> bytes:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this is a coroutine
        began = self._under_way[task] = asyncio.get_running_loop().time()
        try:
            body = await self._client.get(self._endpoint, path, authorization)
        except ThrottledError as error:
            if self._is_over:  # it won't be retried, and later reads have to slow down
                await self._budget.throttled(error.retry_after)
            raise
        else:
            if self._is_over:
                await self._budget.answered(accepted=True)
        finally:
            del self._under_way[task]
            if self._is_over:
                raise asyncio.CancelledError
        self._parallelism.note_answer(asyncio.get_running_loop().time() - began)
        return body
