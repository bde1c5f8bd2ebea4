"""Real servers on free local ports, for benchmarks and for tests that break them on purpose.

Each has `start`, `stop` (as an operator would do it), and methods for its faults. No server outlives the process that
started it, and only processes started here are ever signalled.
"""

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

# Debian installs PostgreSQL's server programs and nginx outside an ordinary user's PATH.
_PATHS = [
    *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True),
    os.environ.get("PATH", ""),
    "/usr/sbin",
    "/sbin",
]

# Below the range that Linux uses for outgoing connections by default.
_PORTS = range(20_000, 32_768)


def program(name: str) -> str:
    """Return the path of an installed program; raise FileNotFoundError with its name."""
    path = shutil.which(name, path=os.pathsep.join(_PATHS))
    if path is None:
        raise FileNotFoundError(f"{name} is not installed")
    return path


def free_port() -> int:
    """Return a port that is currently free.

    The kernel assigns it to no outgoing connection, so it stays free while its server is stopped.
    """
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def wait_for(true: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """Wait until a condition holds; raise TimeoutError with `what` after `seconds` seconds."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} within {seconds:g} s")
        time.sleep(0.05)


def accepts(port: int) -> bool:
    """Return whether something listens on a local port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


class Server(ABC):
    """One server process with its own folder; its output goes to `log`."""

    name = "server"

    def __init__(self, directory: Path | None = None) -> None:
        self._own_directory = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix=f"hub-{self.name}-"))
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Return the command line that starts it."""

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    @property
    def log(self) -> Path:
        return self.directory / f"{self.name}.log"

    @property
    def pid(self) -> int:
        if self.process is None:
            raise RuntimeError(f"{self.name} is not started")
        return self.process.pid

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def is_up(self) -> bool:
        return accepts(self.port)

    def cpu_seconds(self) -> float:
        """Return the CPU time of the process and its children, including children that have ended."""
        process = psutil.Process(self.pid)
        own = process.cpu_times()
        total = own.user + own.system + own.children_user + own.children_system
        for child in process.children():
            # A PostgreSQL session may end at any moment.
            with contextlib.suppress(psutil.NoSuchProcess):
                times = child.cpu_times()
                total += times.user + times.system
        return float(total)

    def start(self, user: str | None = None) -> None:
        """Start it and wait until it accepts connections; otherwise raise RuntimeError with its output."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                list(self.command()),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.working_directory(),
                env=self.environment(),
                user=user,
                group=pwd.getpwnam(user).pw_gid if user else None,
                extra_groups=[] if user else None,
            )
        deadline = time.monotonic() + 60
        while not self.is_up():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(
                    f"{self.name} did not start:\n{self.log.read_text(errors='replace')[-4000:]}"
                )
            time.sleep(0.05)

    def working_directory(self) -> Path:
        return self.directory

    def stop(self, how: signal.Signals = signal.SIGTERM, seconds: float = 60.0) -> int:
        """Signal it to exit and wait; return its exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)  # a paused process would not react to the other signal
            self.process.send_signal(how)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise TimeoutError(f"{self.name} did not end within {seconds:g} s") from None

    def kill(self) -> None:
        """Kill it without a chance to clean up."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def pause(self) -> None:
        """Make it hang: connections stay open and nothing responds."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Stop it and remove its folder."""
        with contextlib.suppress(TimeoutError):
            self.stop()
        if self._own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        if self.process is None:
            self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class PostgreSQL(Server):
    """PostgreSQL with an empty database `hub`, without durability, open to everybody on this machine."""

    name = "postgresql"

    def __init__(self) -> None:
        super().__init__()
        # PostgreSQL refuses to run as root.
        self._user = None
        if os.geteuid() == 0:
            self._user = next(name for name in ("postgres", "nobody") if _exists(name))
            shutil.chown(self.directory, self._user)
        self._data = self.directory / "data"

    def url(self, database: str = "hub") -> str:
        return f"postgres://hub@127.0.0.1:{self.port}/{database}"

    def command(self) -> Sequence[str]:
        return [
            program("postgres"),
            *("-D", str(self._data), "-p", str(self.port), "-h", "127.0.0.1", "-k", str(self.directory)),
            *("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=200"),
        ]

    def start(self, user: str | None = None) -> None:
        fresh = not self._data.exists()
        if fresh:
            subprocess.run(
                [
                    program("initdb"),
                    *("-D", str(self._data), "-U", "hub", "-A", "trust"),
                    *("-E", "UTF8", "--locale=C.UTF-8", "--no-sync"),
                ],
                check=True,
                stdout=subprocess.DEVNULL,
                cwd=self.directory,
                user=self._user,
                group=pwd.getpwnam(self._user).pw_gid if self._user else None,
                extra_groups=[] if self._user else None,
            )
        super().start(self._user)
        if fresh:
            self.sql("CREATE DATABASE hub", database="postgres")

    def is_up(self) -> bool:
        answer = subprocess.run(
            [program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)],
            check=False,
            timeout=30,
            stderr=subprocess.DEVNULL,
        )
        return answer.returncode == 0

    def stop(self, how: signal.Signals = signal.SIGINT, seconds: float = 60.0) -> int:
        """Stop and cut open connections (SIGINT is PostgreSQL's fast shutdown)."""
        return super().stop(how, seconds)

    def sql(self, statement: str, database: str = "hub") -> str:
        """Run a statement; return what psql prints, unaligned."""
        answer = subprocess.run(
            [
                program("psql"),
                *("-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", self.url(database), "-c", statement),
            ],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return answer.stdout.strip()

    def script(self, statements: str) -> None:
        """Run a whole script in one transaction."""
        subprocess.run(
            [
                program("psql"),
                *("-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-d", self.url(), "-f", "-"),
            ],
            input=statements,
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def pause(self) -> None:
        """Stop the server and all its sessions, as on a machine whose disk hangs."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.resume()
        super().kill()

    def _signal(self, number: signal.Signals) -> None:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        for pid in [self.pid, *map(int, children)]:
            # A session may end at any moment, even between the listing and the signal.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


class Redis(Server):
    """Redis without persistence."""

    name = "redis"

    def command(self) -> Sequence[str]:
        return [
            program("redis-server"),
            *("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"),
            *("--dir", str(self.directory)),
        ]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
