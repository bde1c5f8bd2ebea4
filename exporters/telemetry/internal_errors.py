"""Bugs of the hub itself: wherever one is caught, it is logged with its traceback and counted."""

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from django.core.signals import got_request_exception
from django.db import Error
from django.dispatch import receiver

from ..servicebus.tracebacks import frames
from . import metrics

T = TypeVar("T")

logger = logging.getLogger(__name__)


def report(where: str, error: BaseException) -> None:
    """Log and count an unexpected exception.

    `where` is one of a few fixed words, a label of `hub_internal_errors_total`. The log gets the exception's type and
    frames but not its message, which can contain part of an answer or a secret.
    """
    count(where)
    logger.error("Internal error (%s): %s", where, frames(error))


def count(where: str) -> None:
    """Count a bug that is already logged. Never raises, because the bug may be in the counting itself."""
    with contextlib.suppress(Exception):
        metrics.INTERNAL_ERRORS.labels(where).inc()


@contextlib.contextmanager
def aside(where: str) -> Iterator[None]:
    """Report exceptions from the block and continue: it keeps records or counts, which no answer may depend on."""
    try:
        yield
    except Exception as error:
        report(where, error)


def guarded(work: Callable[[], T], otherwise: Callable[[], T]) -> T:
    """Return the result of `work` for a page; if it raises, report that and return `otherwise()` instead.

    One odd value must not break the rest of its page. Database errors propagate: without the database there is no page.
    """
    try:
        return work()
    except Error:
        raise
    except Exception as error:
        report("page", error)
        return otherwise()


@receiver(got_request_exception, dispatch_uid="internal_error_of_a_page")
def _report_page(**kwargs: Any) -> None:
    """Report an exception that ended a whole page. The client gets status 500 and the request's number."""
    error = sys.exc_info()[1]
    if error is not None:
        report("page", error)
