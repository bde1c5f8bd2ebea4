"""Logs to standard error, as text for people or JSON for machines; each line has its request's ID."""

import json
import logging
import re
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from exporters.credentials.redaction import redacted

# Set for each request by hub/middleware.py, and inherited by work for the request on the I/O loop.
request_id: ContextVar[str] = ContextVar("request_id", default="")

# The attributes of every LogRecord; others were passed as `extra` and belong in the line.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

# Values that need no quotes.
_BARE = re.compile(r'[^\s"=]+')


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    # Django attaches request objects to its records; only plain values suit a log line.
    return {
        key: value
        for key, value in vars(record).items()
        if key not in _STANDARD and isinstance(value, str | int | float | bool)
    }


class RequestIdFilter(logging.Filter):
    """Adds `request_id` to lines logged during a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        current = request_id.get()
        if current:
            record.request_id = current
        return True


class WithoutTraceback(logging.Filter):
    """Removes the exception's text from Django's line about a page, because it can contain user input.

    exporters.telemetry.internal_errors logs the frames.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        record.exc_info = record.exc_text = None
        return True


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.123Z INFO exporters.scraping.scrape message key=value other="two words"`."""

    def format(self, record: logging.LogRecord) -> str:
        parts = [_time(record), record.levelname, record.name, record.getMessage()]
        parts += [f"{key}={_quoted(value)}" for key, value in _extras(record).items()]
        line = " ".join(parts)
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return redacted(line)


def _quoted(value: Any) -> str:
    """Return a value in logfmt notation: in quotes if it would otherwise end at a space."""
    text = str(value)
    return text if _BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False)


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        told = {key: redacted(value) if isinstance(value, str) else value for key, value in line.items()}
        return json.dumps(told, ensure_ascii=False)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def logging_config(level: str, log_format: str) -> dict[str, Any]:
    """Return a dictConfig: everything to standard error at `level`, and verbose libraries from warnings on."""
    formatter = {"text": "hub.logs.TextFormatter", "json": "hub.logs.JsonFormatter"}[log_format]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"hub": {"()": formatter}},
        "filters": {
            "request_id": {"()": "hub.logs.RequestIdFilter"},
            "without_traceback": {"()": "hub.logs.WithoutTraceback"},
        },
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "hub", "filters": ["request_id"]}
        },
        "root": {"handlers": ["stderr"], "level": level.upper()},
        "loggers": {
            # At debug level, these log request headers or bodies, which can contain tokens.
            "azure": {"level": "WARNING"},
            "msal": {"level": "WARNING"},
            "aiohttp": {"level": "WARNING"},
            "asyncio": {"level": "WARNING"},
            "urllib3": {"level": "WARNING"},
            # Repeats every few seconds what the reloader logs once, at the start and end of an outage.
            "psycopg.pool": {"level": "ERROR"},
            # gunicorn gives these its own format unless they are configured here.
            "gunicorn.error": {"handlers": [], "propagate": True},
            # Scrapes have their own line; this one would repeat it.
            "gunicorn.access": {"handlers": [], "level": "WARNING", "propagate": True},
            # At debug level, logs every SQL statement with its parameters.
            "django.db.backends": {"level": "INFO"},
            "django": {
                "handlers": [],
                "level": "INFO" if level == "debug" else level.upper(),
                "propagate": True,
            },
            "django.request": {"filters": ["without_traceback"]},
            "django.server": {"handlers": [], "propagate": True},
        },
    }
