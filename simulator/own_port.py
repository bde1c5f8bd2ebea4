"""A port that serves only one namespace or the token endpoint, and can therefore refuse connections."""

from collections.abc import Callable

from .faults import Faults
from .listener import Listener


class OwnPort:
    """Bound on first use: `bind` makes the listener, and `switch` changes its mode (see `Listener.switch`)."""

    def __init__(self, bind: Callable[[], Listener], switch: Callable[[Listener, str], None]) -> None:
        self._bind = bind
        self._switch = switch
        self._listener: Listener | None = None

    @property
    def number(self) -> int:
        if self._listener is None:
            self._listener = self._bind()
        return self._listener.port

    @property
    def is_bound(self) -> bool:
        return self._listener is not None

    def detach(self) -> Listener | None:
        """Forget the listener and return it; the simulator closes it."""
        listener, self._listener = self._listener, None
        return listener

    def apply(self, faults: Faults) -> None:
        """Refuse connections, or accept them silently, if a fault of these is set; otherwise serve."""
        if self._listener is not None:
            self._switch(self._listener, wanted_mode(faults))


def wanted_mode(faults: Faults) -> str:
    """Return the mode of a listener (see `Listener.switch`) that these faults ask for."""
    return next((kind for kind in ("refuse", "hang_handshake") if faults.is_set(kind)), "serve")
