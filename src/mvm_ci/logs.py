"""Logs: events on stderr, for people in a terminal, as JSON lines elsewhere; no secret is ever written."""

import logging
import re
import sys
from typing import Final

# Where rich is installed, structlog loads it for tracebacks that are not used here (they show variables):
# a sixth of the time that a worker takes to come back.
sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
import structlog  # noqa: E402
from structlog.typing import EventDict, Processor, WrappedLogger  # noqa: E402

if sys.modules["rich"] is None:
    del sys.modules["rich"]

_SECRET: Final = re.compile(r"mvm_(api|join)_[A-Za-z0-9_-]+")


def redact(_logger: WrappedLogger, _method: str, line: EventDict) -> str:
    """The last processor, after the renderer: the finished line without tokens, wherever they stood."""
    return _SECRET.sub(r"mvm_\1_[redacted]", str(line))


def configure_logs(level: str, form: str) -> None:
    """Sets up structlog and the standard library's loggers (of our dependencies: warnings and errors)."""
    number = logging.getLevelNamesMapping()[level.upper()]
    human = form == "human" or (form == "auto" and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    ending = _human() if human else _json()
    structlog.configure(
        processors=[*shared, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    foreign = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=foreign))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))


def _human() -> list[Processor]:
    # Plain: a prettier one shows local variables, and with them keys, inputs and tokens cut by line breaks.
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain), redact]


def _json() -> list[Processor]:
    return [structlog.processors.format_exc_info, _event_first, structlog.processors.JSONRenderer(), redact]


def _event_first(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Lines that people read beside each other begin alike."""
    first = {key: event.pop(key) for key in ("timestamp", "level", "event") if key in event}
    return {**first, **event}
