"""Rate-limit guesses of scrape tokens per address, without locking a team out.

Each address may fail a few times, and regains one attempt every few seconds. Once they are used up, its tokens are
refused unchecked (429), except those that this process has recently accepted: Prometheus keeps working behind an
address from which someone guesses. Refusals are immediate, so no thread is held. Memory use is bounded.
"""

import ipaddress
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest

logger = logging.getLogger(__name__)

# Entries of X-Forwarded-For to consider, from its end: more than any real chain of proxies has.
MAX_FORWARDED_ENTRIES = 20
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_FAILURES = 20
_SECONDS_A_FAILURE = 5.0
_REMEMBERED = 10_000
_RIGHT_FOR_SECONDS = 3600.0


class Guessing:
    """Counts failures per address. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()  # address: failures, time
        self._right: OrderedDict[str, float] = OrderedDict()  # token's hash: time

    def seconds_to_wait(self, address: str, token_hash: str) -> float:
        """Return the seconds for which tokens from this address are refused; 0 if this one may be checked."""
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
    """Return the client's address, or "" if it isn't known (a Unix socket).

    X-Forwarded-For is trusted only from proxies in HUB_TRUSTED_PROXIES, because anyone can send the header. The proxy
    nearest to the hub adds the last entry. If that isn't an address, the proxy's own address counts, so a client can't
    hide behind a malformed header.
    """
    current = _parsed(str(request.META.get("REMOTE_ADDR", "")))
    hops = request.headers.get("X-Forwarded-For", "").rsplit(",", MAX_FORWARDED_ENTRIES)
    if len(hops) > MAX_FORWARDED_ENTRIES:
        del hops[0]
    while current is not None and hops and _is_trusted(current):
        hop = hops.pop().strip()
        if not hop:
            continue
        forwarded = _forwarded(hop)
        if forwarded is None:
            _tell_once()
            break
        current = forwarded
    return "" if current is None else str(current)


def sign_in_address(request: HttpRequest) -> str | None:
    """Return the address that failed sign-ins are counted under, or None if it isn't known.

    As for tokens, it honors trusted proxies. Otherwise all users behind a proxy would share its address, and a stranger
    could lock them out.
    """
    return network(client_address(request)).partition("/")[0] or None


def network(address: str) -> str:
    """Return what an address's failures are counted under: for IPv6 the /64, because one host can use all of it."""
    parsed = _parsed(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return "" if parsed is None else str(parsed)


def _parsed(text: str) -> _Address | None:
    """Return the address, or None if the text isn't one.

    A dual-stack socket reports 127.0.0.1 as ::ffff:7f00:1; that becomes an IPv4 address.
    """
    if "%" in text:  # a zone has a meaning only on the sender's machine, and can be any text
        text = text.partition("%")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _forwarded(entry: str) -> _Address | None:
    """Return the address in an entry of X-Forwarded-For; some proxies add a port, brackets or quotes."""
    text = entry.strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    return _parsed(text)


def _is_trusted(address: _Address) -> bool:
    return any(address in proxies for proxies in settings.HUB_TRUSTED_PROXIES)


@lru_cache(maxsize=1)
def _tell_once() -> None:
    logger.warning(
        "A proxy in HUB_TRUSTED_PROXIES sends no address in X-Forwarded-For. Wrong tokens and passwords from its "
        "clients all count towards the proxy's own address."
    )
