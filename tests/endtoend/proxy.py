"""A forward proxy between Prometheus and the hub that records exchanges and can request the text format instead."""

import contextlib
import http.client
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Exchange:
    path: str
    asked: dict[str, str]
    status: int
    answered: dict[str, str]


@dataclass
class Proxy:
    accept: str | None = None  # replaces Prometheus's Accept header
    exchanges: list[Exchange] = field(default_factory=list)

    def __enter__(self) -> Self:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                proxy.pass_on(self)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def pass_on(self, handler: BaseHTTPRequestHandler) -> None:
        target = urlsplit(handler.path)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        if self.accept is not None:
            headers["accept"] = self.accept
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=30)
        try:
            path = target.path + (f"?{target.query}" if target.query else "")
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
        except OSError:
            handler.send_error(502)
            return
        finally:
            connection.close()
        answered = {name.lower(): value for name, value in answer.getheaders()}
        self.exchanges.append(Exchange(target.path, headers, answer.status, answered))
        with contextlib.suppress(OSError):  # Prometheus may be stopped in the middle of a scrape
            self._answer(handler, answer.status, answered, body)

    @staticmethod
    def _answer(handler: BaseHTTPRequestHandler, status: int, answered: dict[str, str], body: bytes) -> None:
        handler.send_response(status)
        for name in ("content-type", "content-encoding"):
            if name in answered:
                handler.send_header(name, answered[name])
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
