"""gunicorn's logger without its access log: scrapes have their own log line."""

from gunicorn.glogging import Logger as GunicornLogger


class Logger(GunicornLogger):  # type: ignore[misc] # gunicorn publishes no types
    """Skips the access log line for each request.

    gunicorn considers its access log enabled wherever logging is configured; it would build each line only to discard
    it.
    """

    @property
    def access_log_enabled(self) -> bool:
        return False
