"""Steps recorded once as CUDA graphs and replayed: hundreds of kernels for one call of the host."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

import torch

logger = logging.getLogger(__name__)

WARM_UPS = 3  # libraries choose their kernels and take their work space at the first calls


class Step(Protocol):
    """What is recorded; see `device_step.DecoderStep`."""

    def __call__(self, count: int, *, is_drawing: bool) -> None:
        """One token more in the first `count` slots."""
        ...


Capture = Callable[[Callable[[], None]], Callable[[], None]]  # from a function to its replay


class CudaCapture:
    """Records what a function does on one GPU. Its graphs share one pool of memory, for only one
    of them runs at a time and nothing is kept in it.
    """

    def __init__(self, device: torch.device) -> None:
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def __call__(self, run: Callable[[], None]) -> Callable[[], None]:
        """Run a few times, then record once. Raises what CUDA raises."""
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            for _ in range(WARM_UPS):
                run()
        current.wait_stream(self._stream)
        graph = torch.cuda.CUDAGraph()
        # thread_local: another recording's spectrogram may be made in another thread meanwhile.
        with torch.cuda.graph(
            graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
        ):
            run()
        return graph.replay


class StepGraphs:
    """Runs steps, by a graph for each number of slots; without graphs where there are none."""

    def __init__(
        self,
        step: Step,
        capture: Capture | None,
        while_capturing: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """What is written in `while_capturing` is forgotten: a capture runs steps of its own."""
        self._step = step
        self._capture = capture
        self._while_capturing = while_capturing
        self._replays: dict[tuple[int, bool], Callable[[], None]] = {}

    @property
    def are_used(self) -> bool:
        """Whether steps are replayed, or would be."""
        return self._capture is not None

    def run(self, count: int, *, is_drawing: bool) -> None:
        """One token more in the first `count` slots."""
        kind = count, is_drawing
        if kind not in self._replays and self._capture is not None:
            self._record(kind, self._capture)
        replay = self._replays.get(kind)
        if replay is None:
            self._step(count, is_drawing=is_drawing)
        else:
            replay()

    def _record(self, kind: tuple[int, bool], capture: Capture) -> None:
        count, is_drawing = kind
        try:
            with self._while_capturing():
                self._replays[kind] = capture(lambda: self._step(count, is_drawing=is_drawing))
        except RuntimeError as error:
            logger.warning("graphs_unavailable", extra={"reason": str(error)[:300]})
            self._capture = None
