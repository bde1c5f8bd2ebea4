"""Logs to standard error, as text for people or as JSON for machines; each line with its request's id."""

import json
import logging
import re
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

# Set for each request by hub/middleware.py; what runs on a request's behalf in the I/O loop inherits it.
request_id: ContextVar[str] = ContextVar("request_id", default="")

# What every LogRecord has; anything else was passed as `extra` and belongs into the line.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

# What needs no quotes as a value.
_BARE = re.compile(r'[^\s"=]+')

# A last net below everything that is careful already: what is secret by its form, wherever it comes from (the path of a
# wall page in a line about its request, a library's message, a traceback).
_SECRET = re.compile(
    r"(SharedAccessKey=|\bsig=)[^\s\"';&]+"
    r"|(\bsb[hw]_)[\w-]{16,}"  # longer than the part that names a token
    r"|(/wall/)[^\s\"'?/]+"
    r"|(Bearer )[\w.~+/-]{8,}=*"
    # What gunicorn says of a request that it doesn't understand repeats the line, which can be one with a password.
    r"|(Invalid HTTP (?:Header|header name|request line): )(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
)


def redacted(text: str) -> str:
    """Return the text without what is secret by its form."""
    return _SECRET.sub(lambda match: f"{match[match.lastindex or 0]}[secret]", text)


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    # Django attaches request objects to its records; only plain values are fit for a line.
    return {
        key: value
        for key, value in vars(record).items()
        if key not in _STANDARD and isinstance(value, str | int | float | bool)
    }


class RequestIdFilter(logging.Filter):
    """Adds `request_id` to what is logged during a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        current = request_id.get()
        if current:
            record.request_id = current
        return True


class WithoutTraceback(logging.Filter):
    """Leaves the text of an exception out of Django's line about a page: it can hold what somebody entered.

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
    """Return a value as logfmt writes it: in quotes where it would not end at the next blank otherwise."""
    text = str(value)
    return text if _BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False)


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

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
    """Return a dictConfig: everything to standard error at `level`, libraries that chatter only from warnings on."""
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
            # These print request headers or bodies at debug, which can carry tokens.
            "azure": {"level": "WARNING"},
            "msal": {"level": "WARNING"},
            "aiohttp": {"level": "WARNING"},
            "asyncio": {"level": "WARNING"},
            "urllib3": {"level": "WARNING"},
            # Says every few seconds what the catalog says once, when an outage begins and ends.
            "psycopg.pool": {"level": "ERROR"},
            # gunicorn gives these a format of its own unless they are named here.
            "gunicorn.error": {"handlers": [], "propagate": True},
            # A scrape has its own line; this one would repeat it.
            "gunicorn.access": {"handlers": [], "level": "WARNING", "propagate": True},
            # Logs every SQL statement with its parameters at debug.
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
