"""gunicorn's logger without its access log: a scrape has its own line."""

from gunicorn.glogging import Logger as GunicornLogger


class Logger(GunicornLogger):  # type: ignore[misc] # gunicorn publishes no types
    """Puts no line together for each request.

    gunicorn takes its access log for wanted wherever the logging is configured, and would throw the line away at last.
    """

    @property
    def access_log_enabled(self) -> bool:
        return False
