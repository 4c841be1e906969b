"""Structured logs on stderr, one JSON object a line: events and ids, never data about a person."""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import Any

import orjson
import structlog

# What a record may carry besides its event, time, level and logger: ids, numbers, words of ours; of
# an error its type and where it arose. Nothing else is kept; the access log has fields of its own.
FIELDS = (
    "case", "client", "constraint", "count", "error", "frames", "job", "method", "mode", "ms",
    "organization", "request", "route", "sqlstate", "status", "url", "utn",
)  # fmt: skip

# Their debug lines print tokens and bodies.
_TALKATIVE = ("asyncio", "asyncpg", "authlib", "httpcore", "httpx", "sqlalchemy")
_FRAMES = 8

Event = MutableMapping[str, Any]


def configure(level: str) -> None:
    """Send every logger of the process to stderr as JSON, what others log from warning up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ExtraAdder(allow=FIELDS),
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                _without_texts_of_errors,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(serializer=_text),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("wiser_fhir").setLevel(level.upper())
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def access_log(level: str) -> structlog.typing.FilteringBoundLogger:
    """The logger of answered requests: straight to stderr, for it runs in each of them."""
    log: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        structlog.BytesLogger(sys.stderr.buffer),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=_bytes),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        cache_logger_on_first_use=True,
    )
    return log


def described(error: BaseException) -> dict[str, Any]:
    """What may be told of an unexpected error: its type, where it arose, what Postgres calls it.

    Never its text: a database's error repeats the row, a parser's the document.
    """
    cause = getattr(error, "orig", None) or error
    facts = {
        "error": f"{type(cause).__module__}.{type(cause).__qualname__}",
        "frames": _frames(error.__traceback__),
        "sqlstate": getattr(cause, "sqlstate", None),
        "constraint": getattr(cause.__cause__ or cause, "constraint_name", None),
    }
    return {name: value for name, value in facts.items() if value}


def _frames(trace: TracebackType | None) -> list[str]:
    frames = []
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "?")
        frames.append(f"{module}:{trace.tb_lineno}")
        trace = trace.tb_next
    return frames[-_FRAMES:]


def _without_texts_of_errors(_logger: Any, _method: str, event: Event) -> Event:
    failure = event.pop("exc_info", None)
    event.pop("stack_info", None)
    if isinstance(failure, tuple) and failure[1] is not None:
        event.update(described(failure[1]))
    return event


def _text(event: Mapping[str, Any], **options: Any) -> str:
    return _bytes(event, **options).decode()


def _bytes(event: Mapping[str, Any], **_options: Any) -> bytes:
    return orjson.dumps(event, default=str)
