"""Slows down who guesses scrape tokens, by address, without locking a team out.

An address has a few failures to spend, and gets a new one every few seconds. When they are spent, its tokens are
refused without a look (429), but for those that this process has seen to be right lately: Prometheus goes on behind
the address at which somebody guesses. Nothing waits, so that no thread is held; what is remembered is bounded.
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

# Of X-Forwarded-For, from its end: more proxies than anybody has in a row.
MAX_FORWARDED_ENTRIES = 20
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

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
    """Return the address of who asks, "" where none is known (a Unix socket).

    X-Forwarded-For counts from HUB_TRUSTED_PROXIES alone, as anybody can write it. Its last entry comes from the proxy
    nearest to the hub. Where that is no address the proxy's own one counts: a header can't make anybody anonymous.
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
    """Return the address that failed sign-ins are counted under; None where none is known.

    As for tokens: behind a proxy everybody would otherwise have its address, and a stranger could lock a user out.
    """
    return network(client_address(request)).partition("/")[0] or None


def network(address: str) -> str:
    """Return what failures of an address are counted under: an IPv6 host can have all addresses of its /64."""
    parsed = _parsed(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return "" if parsed is None else str(parsed)


def _parsed(text: str) -> _Address | None:
    """Return an address, None for what is none. A socket for IPv4 and IPv6 has ::ffff:7f00:1 for 127.0.0.1."""
    if "%" in text:  # a zone is a name on another machine, and could be any text
        text = text.partition("%")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _forwarded(entry: str) -> _Address | None:
    """Return the address of an entry of X-Forwarded-For; some proxies add a port, brackets or quotes."""
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
        "A proxy of HUB_TRUSTED_PROXIES sends no address in X-Forwarded-For. Wrong tokens and passwords from there "
        "count under the proxy's own address, whoever shows them."
    )
