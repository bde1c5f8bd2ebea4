"""Bugs of the hub itself: each is logged with its traceback and counted, wherever it is caught."""

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from django.core.signals import got_request_exception
from django.db import Error
from django.dispatch import receiver

from ..servicebus.faults import frames
from . import metrics

T = TypeVar("T")

logger = logging.getLogger(__name__)


def report(where: str, error: BaseException) -> None:
    """Log and count an exception that no code expected.

    `where` is one of a few fixed words, a label of `hub_internal_errors_total`. The log gets the exception's type and
    its frames. Its text stays out: it can hold a part of an answer or a secret.
    """
    count(where)
    logger.error("Internal error (%s): %s", where, frames(error))


def count(where: str) -> None:
    """Count a bug that is logged already. Never raises: the bug can be that nothing can be counted."""
    with contextlib.suppress(Exception):
        metrics.INTERNAL_ERRORS.labels(where).inc()


@contextlib.contextmanager
def aside(where: str) -> Iterator[None]:
    """Report what the block raises, and go on: it keeps records or counts, and no answer may depend on it."""
    try:
        yield
    except Exception as error:
        report(where, error)


def guarded(work: Callable[[], T], otherwise: Callable[[], T]) -> T:
    """Return what `work` makes for a page; report what it raises and return `otherwise()` instead.

    One odd value must not take the rest of its page away. What the database raises goes on: then there is no page.
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
    """Report what a whole page ends with; whoever asked gets status 500 and the number of the request."""
    error = sys.exc_info()[1]
    if error is not None:
        report("page", error)
