"""What the log may say. At INFO and above: no spoken text, no identity, no room's name, whoever wrote the line.

Our own loggers (`rapport…`) are written so. Other people's are not: the framework logs the arguments of tools, words
that come too late, the texts of errors, and the room's name beside each line of a job. Of their lines only what the
program itself says is let through: texts that stand in the function that logs, numbers, the kinds of errors, and fields
on a list; `room` becomes `room_hash`. DEBUG lines pass as they are, and do carry text.
"""

from __future__ import annotations

import inspect
import logging
import re
import traceback
from collections.abc import Mapping
from numbers import Number

from identity import pseudonym

_OURS = "rapport"
_HIDDEN = "…"
_LONGEST = 2_000  # characters of a line; the framework has logged whole documents
_COUNT = re.compile(r"-?\d{1,3}(\.\d+)?(ms|s)?")  # an exit code, a duration; longer ones may be somebody's numbers
_OF_EACH_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

# Texts that the framework, its server and its operator make up. Those that a person or a model may choose (the names of
# rooms, participants and functions, `error`, `reason`) are not among them.
_FIELDS = frozenset(
    """
    agent_name audio_output base_url call_id deployment dispatch_id error_type exception_type id impl_id item_id job_id
    label llm model plugin previous_item_id region request_id room_hash room_id rtc-version speech_id stt thread_name
    track_id tts type url version
    """.split()
)


def install() -> None:
    """Put the filter on each handler of the root logger, behind filters that add fields. It may be called again, and is
    needed once in each process, after its handlers were made and before it has a job."""
    for handler in logging.getLogger().handlers:
        handler.removeFilter(harmless)
        handler.addFilter(harmless)


def harmless(record: logging.LogRecord) -> bool:
    """A handler's filter: take out of the record what may be a person's. It drops no line."""
    if record.levelno < logging.INFO:
        return True
    if not getattr(record, "_harmless", False):
        if record.name.partition(".")[0] != _OURS:
            _keep_what_the_program_says(record)
        error = record.exc_info[1] if record.exc_info else None
        record.exc_info, record.exc_text = None, _trace(error) if error else None
    for name, value in list(vars(record).items()):
        if name not in _OF_EACH_RECORD:
            _keep_field(record, name, value)
    # Handlers share the record, and that of a job's process is handled again in the main process, which adds fields.
    record._harmless = True
    return True


def _keep_what_the_program_says(record: logging.LogRecord) -> None:
    written = _texts_of_the_caller(record)
    if isinstance(record.msg, str) and record.msg in written:
        if isinstance(record.args, Mapping):
            record.args = {name: _value(value) for name, value in record.args.items()}
        else:
            record.args = tuple(_value(value) for value in record.args or ())
    else:
        record.msg, record.args = _known_parts(str(record.msg), written) or f"{record.module}.{record.funcName}", ()


def _known_parts(text: str, written: frozenset[str]) -> str:
    """A text that was put together when it ran, without what the program put in; empty where nothing is left."""
    phrases = sorted((phrase for phrase in written if " " in phrase and len(phrase) > 4), key=len, reverse=True)
    parts = re.split(f"({'|'.join(map(re.escape, phrases)) or '(?!)'})", text[:_LONGEST])
    for gap in range(0, len(parts), 2):
        if not _COUNT.fullmatch(parts[gap]):
            parts[gap] = _HIDDEN[: len(parts[gap])]
    return "".join(parts) if len(parts) > 1 else ""


def _texts_of_the_caller(record: logging.LogRecord) -> frozenset[str]:
    """The texts that stand in the function that logs; none where it is not on this stack."""
    frame = inspect.currentframe()
    while frame and (frame.f_code.co_filename, frame.f_code.co_name) != (record.pathname, record.funcName):
        frame = frame.f_back
    return frozenset(text for text in frame.f_code.co_consts if isinstance(text, str)) if frame else frozenset()


def _value(value: object) -> object:
    if isinstance(value, BaseException):
        return _kind(value)
    return value if value is None or isinstance(value, Number) else _HIDDEN


def _keep_field(record: logging.LogRecord, name: str, value: object) -> None:
    if (kept := _value(value)) is _HIDDEN and name in _FIELDS and isinstance(value, str):
        kept = value
    if name == "room" and isinstance(value, str):
        record.room_hash = pseudonym(value)
    if kept is _HIDDEN or name.startswith("lk.pii."):
        delattr(record, name)
    else:
        setattr(record, name, kept)


def _trace(error: BaseException) -> str:
    """As Python prints it, causes first, but for the errors' texts."""
    parts: list[str] = []
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause and id(cause) not in seen:
        seen.add(id(cause))
        parts.append("".join(traceback.format_tb(cause.__traceback__)) + _kind(cause))
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "\n".join(reversed(parts))


def _kind(error: BaseException) -> str:
    """Its type; and the status, which tells an operator of a wrong key from a server that is down."""
    status = getattr(error, "status_code", None) or getattr(error, "status", None)
    return f"{type(error).__name__} {status}" if isinstance(status, int) else type(error).__name__
