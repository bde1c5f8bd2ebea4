"""The hub as it runs in production: gunicorn on PostgreSQL and Redis, with nginx in front."""

import contextlib
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from .servers import Server, free_port, program

ROOT = Path(__file__).resolve().parents[2]


class Simulated:
    """A simulator in a separate process; see tests/support/simulated.py."""

    def __init__(self, namespaces: int, queues: int, latency_seconds: float, hanging: int = 0) -> None:
        arguments = map(str, (namespaces, queues, latency_seconds, hanging))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.simulated", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        said: dict[str, Any] = json.loads(self._process.stdout.readline())
        self.port: int = said["port"]
        self.ca_file: str = said["ca_file"]
        self.namespaces: dict[str, str] = said["namespaces"]

    def cpu_seconds(self) -> float:
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=30)


class Hostile:
    """The attacking endpoints in a separate process; see tests/support/hostile.py."""

    def __init__(self, certificates: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.hostile", str(certificates)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self.connection_strings: dict[str, str] = json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


class Hub(Server):
    """One hub: gunicorn with its worker processes. `variables` are its HUB_ settings."""

    name = "hub"

    def __init__(self, variables: Mapping[str, str]) -> None:
        super().__init__()
        self.variables = dict(variables)

    def command(self) -> Sequence[str]:
        return [sys.executable, "-m", "gunicorn", "-c", "hub/gunicorn.py"]

    def working_directory(self) -> Path:
        return ROOT

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
        own = {
            "HUB_PORT": str(self.port),
            "HUB_DATA_DIR": str(self.directory / "data"),
            "HUB_LOG_FORMAT": "json",
        }
        return {**kept, **own, **self.variables}

    def manage(self, *arguments: str, module: str | None = None, text: str | None = None) -> str:
        """Run a management command (or a module) with this hub's settings; return its output."""
        command = ["-m", module] if module else ["manage.py", *arguments]
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.working_directory(),
            env=self.environment(),
            input=text,
            check=False,
            capture_output=True,
            text=True,
            timeout=600,
        )
        if done.returncode:
            raise RuntimeError(f"{command}: {done.stdout}{done.stderr}")
        return done.stdout

    def prepare(self, namespaces: Mapping[str, str], **fields: Any) -> str:
        """Prepare the database, store these namespaces (name -> connection string), return a platform token."""
        return self.seed(prepare=True, namespaces=namespaces, fields=fields)[0]

    def seed(self, **wanted: Any) -> list[str]:
        """Change the hub's database as described in tests/support/seed.py; return the secrets of its tokens."""
        return self.manage(module="tests.support.seed", text=json.dumps(wanted)).split()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def is_up(self) -> bool:
        return self.get("/-/ready")[0] == 200

    def get(self, path: str, token: str = "", timeout: float = 15.0) -> tuple[int, str]:
        """Send a request directly to this hub; return the status (0 if there is no response) and the body."""
        request = urllib.request.Request(f"http://{self.address}{path}")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.pid).children()

    def memory_bytes(self) -> int:
        """Return the proportional set size of gunicorn and its workers, which counts shared pages once."""
        total = 0
        for process in (psutil.Process(self.pid), *self.workers()):
            try:
                total += process.memory_full_info().pss
            except psutil.Error:  # a worker that has just exited
                continue
        return total

    def kill(self) -> None:
        """Kill gunicorn and every worker at once, as a power failure would."""
        workers = self.workers() if self.is_running() else []
        super().kill()
        for worker in workers:
            with contextlib.suppress(psutil.Error):
                worker.send_signal(signal.SIGKILL)
        psutil.wait_procs(workers, timeout=10)


class Nginx(Server):
    """deploy/nginx/nginx.conf as shipped, with this machine's ports instead of compose's names."""

    name = "nginx"

    def __init__(self, hubs: Sequence[Hub]) -> None:
        super().__init__()
        self.directory.chmod(0o755)  # its workers are not root
        self.certificate = self.directory / "tls.crt"
        subprocess.run(
            [
                *(
                    "openssl",
                    "req",
                    "-x509",
                    "-newkey",
                    "ec",
                    "-pkeyopt",
                    "ec_paramgen_curve:P-256",
                    "-nodes",
                ),
                *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
                *("-keyout", str(self.directory / "tls.key"), "-out", str(self.certificate)),
            ],
            check=True,
            capture_output=True,
        )
        text = (ROOT / "deploy/nginx/nginx.conf").read_text()
        text = text.replace("/etc/nginx/tls", str(self.directory)).replace(
            "/tmp/nginx", f"{self.directory}/nginx"
        )
        text = text.replace("listen 80 ", f"listen 127.0.0.1:{free_port()} ")
        text = text.replace("listen 443 ", f"listen 127.0.0.1:{self.port} ")
        for number, hub in enumerate(hubs, start=1):
            text = text.replace(f"hub-{number}:9580", hub.address)
        (self.directory / "nginx.conf").write_text("daemon off;\n" + text)

    def command(self) -> Sequence[str]:
        return [program("nginx"), "-c", str(self.directory / "nginx.conf"), "-p", str(self.directory)]

    def get(self, path: str, token: str = "", timeout: float = 15.0) -> tuple[int, str]:
        context = ssl.create_default_context(cafile=str(self.certificate))
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}{path}")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=timeout, context=context) as answer:
            return answer.status, answer.read().decode()


def deployed_settings(database_url: str, redis_url: str, ca_file: str) -> dict[str, str]:
    """Return the HUB_ settings that the replicas of one deployment share."""
    import base64

    return {
        "HUB_DATABASE_URL": database_url,
        "HUB_REDIS_URL": redis_url,
        "HUB_CA_FILE": ca_file,
        "HUB_ALLOW_LOOPBACK": "1",
        "HUB_SECRET_KEY": "bench",
        "HUB_ENCRYPTION_KEYS": base64.urlsafe_b64encode(os.urandom(32)).decode(),
        "HUB_ADMIN_PASSWORD": "bench-bench-bench",
    }


def quantile(values: Sequence[float], share: float) -> float:
    """Return the quantile of the values at `share` (0 to 1); 0 if there are no values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def unhealthy_lines(log: Path) -> list[str]:
    """Return the lines of a hub's log that an operator would investigate."""
    pattern = re.compile(r'"level": "(warning|error|critical)"|Traceback')
    return [line for line in log.read_text(errors="replace").splitlines() if pattern.search(line)]
