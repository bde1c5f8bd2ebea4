"""A namespace's deliberate faults: which requests they apply to, and how often. They are carried out elsewhere."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

# Kind -> its options with their defaults. `Faults.set` describes them.
CONNECTION: dict[str, dict[str, Any]] = {
    "refuse": {},
    "hang_handshake": {},
    "unknown_ca": {},
    "wrong_host": {},
}
_STATUS = {"body": "error", "retry_after": None, "detail": None}
INSTEAD: dict[str, dict[str, Any]] = {
    "reset": {},
    "disconnect": {},
    "hang": {},
    "status": {"status": 500, **_STATUS},
    "throttle": {"status": 429, **_STATUS},
    "unavailable": {"status": 503, **_STATUS},
    "unauthorized": {"status": 401, **_STATUS},
    "forbidden": {"status": 403, **_STATUS},
    "not_found": {"status": 404, **_STATUS},
    "server_error": {"status": 500, **_STATUS},
    "redirect": {"location": None, "status": 307},
    "html": {"status": 200},
    "empty": {},
    "endless": {},
    "bomb": {},
    "gzip_bomb": {},
}
AFTERWARDS: dict[str, dict[str, Any]] = {
    "delay": {"seconds": 1.0},
    "cut": {"at": 0.5},
    "truncated": {"at": 0.5},
    "trickle": {"chunk": 1, "interval": 0.1},
    "no_counts": {},
    "shifted": {"by": 1},
    "next_link": {"host": "elsewhere.example"},
    "delete_topic": {"topic": None},
    "recreated": {"number": 150},
}
KINDS = {**CONNECTION, **INSTEAD, **AFTERWARDS}


@dataclass(eq=False)
class Fault:
    kind: str
    path: str | None = None  # a shell pattern on the decoded path without its query, in lower case
    times: int | None = None  # how many more requests it applies to; None: all
    after: int = 0  # how many requests pass unaffected first
    options: dict[str, Any] = field(default_factory=dict)
    hits: int = 0

    def concerns(self, path: str | None) -> bool:
        return self.path is None or path is None or fnmatchcase(path.lower(), self.path)


class Faults:
    """The faults that are set; safe to change from any thread while requests are served."""

    def __init__(self, changed: Callable[[], None] | None = None) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._changed = changed

    def set(
        self, kind: str, *, path: str | None = None, times: int | None = None, after: int = 0, **options: Any
    ) -> Fault:
        """Add a fault for the next `times` requests whose path matches the pattern, after `after` unaffected ones.

        Of the faults that replace a response, only the first that applies to a request takes effect; of the others,
        all do.

        Kinds that affect connections (`times` counts handshakes; no `path`):
        refuse, hang_handshake: the namespace's own port refuses connections, or accepts them and stays silent.
        unknown_ca, wrong_host: the certificate is signed by another CA, or is that of another host.

        Kinds that replace the response:
        reset: the connection is reset (RST). disconnect: it is closed without a response. hang: never responds.
        status (option `status`), and by name throttle 429, unavailable 503, unauthorized 401, forbidden 403,
        not_found 404, server_error 500: `body` is "error" (as recorded), "empty" or "html"; `retry_after` is sent
        unchanged; `detail` replaces the text. redirect: to `location` (by default another host), `status` 307.
        html: an HTML page with `status` 200. empty: 200 without a body. endless: a body that never ends.
        bomb: XML whose entities expand to gigabytes. gzip_bomb: a small compressed body that expands to 64 MiB.

        Kinds that spoil the correct response:
        delay: `seconds` later. cut: Content-Length is right, but the connection is closed after the share `at` of it.
        truncated: a complete response with XML that stops at `at`. trickle: `chunk` bytes every `interval` seconds.
        no_counts: without CountDetails. shifted: pages after the first start `by` entities too early (negative: too
        late). next_link: points to `host`. delete_topic: `topic` is deleted once the topics have been listed.
        recreated: before each page of queues, all queues are replaced by `number` others.

        Raises ValueError for an unknown kind or option.
        """
        if kind not in KINDS:
            raise ValueError(f"unknown fault {kind!r}; known are {', '.join(sorted(KINDS))}")
        unknown = options.keys() - KINDS[kind].keys()
        if unknown:
            known = ", ".join(KINDS[kind]) or "none"
            raise ValueError(
                f"the fault {kind} has no option {', '.join(sorted(unknown))}; its options: {known}"
            )
        if kind in CONNECTION and (path is not None or after):
            raise ValueError(
                f"the fault {kind} concerns connections, before a path is known: leave path and after out"
            )
        if kind == "delete_topic" and not options.get("topic"):
            raise ValueError("the fault delete_topic needs the option topic")
        fault = Fault(kind, path.lower() if path else None, times, after, {**KINDS[kind], **options})
        with self._lock:
            self._faults.append(fault)
        if self._changed is not None and kind in CONNECTION:
            try:
                self._changed()
            except ValueError:
                self.clear(kind)
                raise
        return fault

    def clear(self, kind: str | None = None) -> None:
        """Remove all faults, or those of one kind."""
        with self._lock:
            connection = any(fault.kind in CONNECTION for fault in self._faults if kind in (None, fault.kind))
            self._faults = [fault for fault in self._faults if kind not in (None, fault.kind)]
        if connection and self._changed is not None:
            self._changed()

    def __iter__(self) -> Iterator[Fault]:
        return iter(list(self._faults))

    def is_set(self, kind: str) -> bool:
        return any(fault.kind == kind for fault in self._faults)

    def take(self, kinds: dict[str, dict[str, Any]], path: str | None = None) -> list[Fault]:
        """Return the faults that apply to this request, and count the request for each of them."""
        return self._take(kinds, path, only_one=False)

    def take_one(self, kinds: dict[str, dict[str, Any]], path: str | None = None) -> Fault | None:
        """Return the first fault that applies to this request, for kinds of which only one can take effect."""
        return next(iter(self._take(kinds, path, only_one=True)), None)

    def _take(self, kinds: dict[str, dict[str, Any]], path: str | None, *, only_one: bool) -> list[Fault]:
        if not self._faults:
            return []
        taken: list[Fault] = []
        with self._lock:
            for fault in self._faults:
                if fault.kind not in kinds or not fault.concerns(path):
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                if fault.times is not None:
                    if fault.times <= 0:
                        continue
                    fault.times -= 1
                fault.hits += 1
                taken.append(fault)
                if only_one:
                    break
        return taken
