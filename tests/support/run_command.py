"""`manage.py run` as `make run` starts it, in a separate process group, as in a terminal."""

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
from prometheus_client.parser import text_string_to_metric_families

from tests.support.servers import free_port, wait_for

ROOT = Path(__file__).resolve().parent.parent.parent
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Running:
    """One hub whose data folder remains after it ends; its output is in `said`."""

    def __init__(self, data: Path, *options: str, variables: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.log = data.parent / f"{data.name}-{self.port}.log"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
        self.environment = {
            **kept,
            "HUB_DATA_DIR": str(data),
            "HUB_PORT": str(self.port),
            **(variables or {}),
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "run", *options],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.parts: list[psutil.Process] = []

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def __enter__(self) -> Self:
        try:
            wait_for(lambda: "Ctrl-C stops everything" in self.said or self._ended(), "the hub starts", 120)
            assert not self._ended(), self.said
            self.parts = psutil.Process(self.process.pid).children(recursive=True)
        except BaseException:
            self.interrupt()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.interrupt()

    def _ended(self) -> bool:
        return self.process.poll() is not None

    def interrupt(self) -> None:
        """Do what Ctrl-C does, and wait for the process to end."""
        if not self._ended():
            os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(90)

    def get(self, path: str, token: str = "", **headers: str) -> tuple[int, str]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def scrape(self, name: str, token: str) -> Samples:
        status, text = self.get(f"/metrics/{name}", token)
        assert status == 200, text
        return samples(text)


def samples(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Samples, metric: str, /, **labels: str) -> float | None:
    return found.get((metric, frozenset(labels.items())))


def printed(said: str, what: str) -> str:
    found = re.search(rf"^  {what} +(.*)$", said, re.MULTILINE)
    assert found, said
    return found[1]
