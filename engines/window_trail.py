"""The windows of one recording while an engine goes along it."""

from collections.abc import Callable, Sequence
from typing import Any

from domain.transcript import Segment
from domain.windows import Window, usable_windows


class WindowTrail:
    """Which windows are there already, and the number and signature of those that follow.

    `kept` is what an engine goes on from: of `resume`, what the same engine with the same
    model decoded.
    """

    def __init__(
        self,
        resume: Sequence[Window],
        on_window: Callable[[Window], None],
        *,
        engine: str,
        model: str,
    ) -> None:
        self.kept = usable_windows(resume, engine=engine, model=model)
        self._on_window = on_window
        self._engine = engine
        self._model = model
        self._next_number = len(self.kept)

    def restart(self) -> None:
        """Go on from none of the kept windows: the engine cannot use them after all."""
        self.kept = ()
        self._next_number = 0

    @property
    def next_seek(self) -> int:
        """Where the first window after the kept ones starts, in mel frames of 10 ms."""
        return self.kept[-1].next_seek if self.kept else 0

    @property
    def segments(self) -> list[Segment]:
        """All segments of the kept windows, as a new list."""
        return [segment for window in self.kept for segment in window.segments]

    def add(
        self, next_seek: int, segments: Sequence[Segment], carried: dict[str, Any] | None = None
    ) -> None:
        """Hand on the window that was just decoded."""
        window = Window(
            number=self._next_number,
            next_seek=next_seek,
            engine=self._engine,
            model_used=self._model,
            segments=tuple(segments),
            carried=carried or {},
        )
        self._next_number += 1
        self._on_window(window)
