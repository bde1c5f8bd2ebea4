"""Watch browser pages: console messages, requests to other hosts, and violations of the CSP."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request


@dataclass
class Watch:
    """Collects everything that no page of the hub may do."""

    host: str
    # A page whose own status is an error also causes a console message.
    expected_status: int = 200
    problems: list[str] = field(default_factory=list)

    def on(self, context: BrowserContext) -> None:
        context.on("page", self._page)
        context.on("request", self._request)
        context.on("console", self._console)

    def _page(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.problems.append(f"{page.url}: {error}"))

    def _request(self, request: Request) -> None:
        where = urlsplit(request.url)
        if where.scheme not in {"data", "blob", "about"} and where.netloc != self.host:
            self.problems.append(f"asked another host: {request.url}")

    def _console(self, message: ConsoleMessage) -> None:
        # CSP violations appear here as errors.
        if message.type in {"error", "warning"}:
            if self.expected_status != 200 and f"status of {self.expected_status}" in message.text:
                return
            self.problems.append(f"{message.type}: {message.text}")
