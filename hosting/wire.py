"""Values of the domain as plain JSON types, and back."""

import traceback
from collections.abc import Iterator
from typing import Any

from domain.errors import EngineError, ScriptoriumError
from domain.transcript import (
    Fallback,
    Transcript,
    Warning_,
    coverage_from_dict,
    segments_from_dicts,
)
from domain.windows import Window

Plain = dict[str, Any]


def window_of(item: Plain) -> Window:
    """Undo `asdict` of a window."""
    return Window(**{**item, "segments": segments_from_dicts(item["segments"])})


def transcript_of(item: Plain) -> Transcript:
    """Undo `asdict` of a transcript."""
    return Transcript(
        **{
            **item,
            "segments": segments_from_dicts(item["segments"]),
            "fallbacks": tuple(Fallback(**fallback) for fallback in item["fallbacks"]),
            "warnings": tuple(Warning_(**warning) for warning in item["warnings"]),
            "coverage": coverage_from_dict(item["coverage"]) if item["coverage"] else None,
        }
    )


def plain_error(error: BaseException) -> Plain:
    """An error with its stack, for whoever asked for the work that failed."""
    return {
        "name": type(error).__name__,
        "message": str(error),
        "details": dict(getattr(error, "details", {})),
        "stack": "".join(traceback.format_exception(error)),
    }


def error_of(item: Plain) -> ScriptoriumError:
    """Undo `plain_error`; the stack becomes a note. What is not an error of ours is an
    EngineError here.
    """
    kind = dict(_errors_below(ScriptoriumError)).get(item["name"])
    if kind is None:
        error: ScriptoriumError = EngineError(f"{item['name']}: {item['message']}")
    else:
        error = kind(item["message"], **item["details"])
    error.add_note(f"In the model host:\n{item['stack']}")
    return error


def _errors_below(kind: type[ScriptoriumError]) -> Iterator[tuple[str, type[ScriptoriumError]]]:
    yield kind.__name__, kind
    for below in kind.__subclasses__():
        yield from _errors_below(below)
