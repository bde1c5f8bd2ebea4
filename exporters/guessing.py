"""Slows down who guesses scrape tokens, by address, without locking a team out.

An address has a few failures to spend, and gets a new one every few seconds. When they are spent, its tokens are
refused without a look (429), but for those that this process has seen to be right lately: Prometheus goes on behind
the address at which somebody guesses. Nothing waits, so that no thread is held; what is remembered is bounded.
"""

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest

_FAILURES = 20
_SECONDS_A_FAILURE = 5.0
_REMEMBERED = 10_000
_RIGHT_FOR_SECONDS = 3600.0


class Guessing:
    """Counts by address; safe to be asked by many threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()  # address: failures, when
        self._right: OrderedDict[str, float] = OrderedDict()  # token's hash: when

    def seconds_to_wait(self, address: str, token_hash: str) -> float:
        """Return for how long this address' tokens are refused, 0 when this one may be looked at."""
        with self._lock:
            if self._clock() - self._right.get(token_hash, -_RIGHT_FOR_SECONDS) < _RIGHT_FOR_SECONDS:
                return 0.0
            return max(0.0, (self._failures(address) - _FAILURES + 1) * _SECONDS_A_FAILURE)

    def was_wrong(self, address: str) -> None:
        with self._lock:
            failures = min(self._failures(address) + 1, _FAILURES)
            self._spent[address] = (failures, self._clock())
            self._spent.move_to_end(address)
            if len(self._spent) > _REMEMBERED:
                self._spent.popitem(last=False)

    def was_right(self, token_hash: str) -> None:
        with self._lock:
            self._right[token_hash] = self._clock()
            self._right.move_to_end(token_hash)
            if len(self._right) > _REMEMBERED:
                self._right.popitem(last=False)

    def forget(self) -> None:
        with self._lock:
            self._spent.clear()
            self._right.clear()

    def _failures(self, address: str) -> float:
        failures, at = self._spent.get(address, (0.0, 0.0))
        return max(0.0, failures - (self._clock() - at) / _SECONDS_A_FAILURE)


guessing = Guessing()


def client_address(request: HttpRequest) -> str:
    """Return who asks; what X-Forwarded-For says counts from HUB_TRUSTED_PROXIES alone, as anybody can write it.

    An IPv6 address stands for its /64, which one host can have whole.
    """
    text = str(request.META.get("REMOTE_ADDR", ""))
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
    while hops and _is_trusted(text):
        text = hops.pop()
    return text


def sign_in_address(request: HttpRequest) -> str | None:
    """Return the address that failed sign-ins are counted under; None when a proxy hands on what is none.

    As for tokens: behind a proxy everybody would otherwise have its address, and a stranger could lock a user out.
    """
    counted = network(client_address(request)).partition("/")[0]
    try:
        return str(ipaddress.ip_address(counted))
    except ValueError:
        return None


def plain_address(text: str) -> str:
    """Return an address as people know it; a socket for IPv4 and IPv6 has ::ffff:7f00:1 for 127.0.0.1.

    Raises ValueError for what is none.
    """
    address = ipaddress.ip_address(text)
    return str(getattr(address, "ipv4_mapped", None) or address)


def network(address: str) -> str:
    """Return what failures are counted under."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


def _is_trusted(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    plain = getattr(address, "ipv4_mapped", None) or address
    return any(plain in proxies for proxies in settings.HUB_TRUSTED_PROXIES)
