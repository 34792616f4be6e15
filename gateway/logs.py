"""Set up the log: one line per event on standard error, as JSON or for people.

structlog and the standard library's loggers share one handler. Libraries stay at WARNING at every level, because at
lower levels they print request targets with queries, headers and frames.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog

from bff.settings.tables import LogSettings, Settings
from gateway.masked_paths import mask_text

LIBRARIES = (
    "asyncio",
    "authlib",
    "httpcore",
    "httpx",
    "redis",
    "uvicorn",
    "uvicorn.error",
    "uvicorn.access",
    "websockets",
)
Event = MutableMapping[str, Any]
SHOWN_APART = ("timestamp", "level", "event", "exception", "logger", "audit")


def for_a_terminal(settings: Settings, *, is_terminal: bool) -> Settings:
    """Return settings with a log for people, if a person reads it and the configuration does not say otherwise."""
    if not is_terminal or "format" in settings.log.model_fields_set:
        return settings
    return settings.model_copy(update={"log": settings.log.model_copy(update={"format": "console"})})


def configure_logging(log: LogSettings, *, stream: TextIO | None = None) -> None:
    """Send all loggers of this process to `stream`, or to standard error. This replaces any earlier set-up."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        without_capabilities,
    ]
    last = structlog.processors.JSONRenderer() if log.format == "json" else render_for_people
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(log.level.upper())
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def without_capabilities(_logger: object, _method: str, event: Event) -> Event:
    """Mask the secret parts of addresses in `event`, from every source (`gateway.masked_paths`)."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = mask_text(value)
    return event


def render_for_people(_logger: object, _method: str, event: Event) -> str:
    """Write an event as `12:00:01 warning  what happened  key=value`, and then the lines of an exception."""
    clock = str(event.get("timestamp", ""))[11:19]
    line = f"{clock} {event.get('level', ''):<8} {one_line(str(event.get('event', '')))}{_fields(event)}"
    exception = event.get("exception")
    return f"{line}\n{exception}" if exception else line


def _fields(event: Mapping[str, Any]) -> str:
    known = ((name, value) for name, value in event.items() if name not in SHOWN_APART)
    return "".join(f"  {one_line(name)}={one_line(str(value))}" for name, value in known)


def one_line(text: str) -> str:
    """Escape everything in `text` that could break or colour the line (CWE-117)."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
