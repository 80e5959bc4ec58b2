"""A decoded window as a value: what is kept so that no speech is decoded twice."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from domain.transcript import Segment


@dataclass(frozen=True)
class Window:
    """One decoded window, and all that is needed to go on after it.

    The windows of a job are numbered from 0 without gaps. A window with a number that was
    there before replaces it and every later one: the engine started again.
    """

    number: int
    next_seek: int  # mel frames of 10 ms: where the next window starts
    engine: str
    model_used: str
    segments: tuple[Segment, ...] = ()
    carried: dict[str, Any] = field(default_factory=dict)  # plain JSON; the engine's own


def usable_windows(windows: Sequence[Window], *, engine: str, model: str) -> tuple[Window, ...]:
    """The windows that this engine with this model may go on from: an unbroken run from 0."""
    usable: list[Window] = []
    for number, window in enumerate(windows):
        if (window.number, window.engine, window.model_used) != (number, engine, model):
            break
        usable.append(window)
    return tuple(usable)


def ignore_window(_window: Window) -> None:
    """For callers that keep nothing."""
