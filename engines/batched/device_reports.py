"""What the host gets to know of the slots without making the device wait for it."""

from collections import deque
from dataclasses import dataclass

import torch

from engines.batched.device_state import SlotState

PARTS = ("has_ended", "written", "sum_logprob", "no_speech_prob", "tokens")


@dataclass
class Report:
    """How far the slots were at one moment, in main memory."""

    number: int  # counts up
    has_ended: torch.Tensor
    written: torch.Tensor
    sum_logprob: torch.Tensor
    no_speech_prob: torch.Tensor
    tokens: torch.Tensor


class Reports:
    """Copies travel behind the steps; each is read when the next is on its way.

    So while the host reads, the device works.
    """

    def __init__(self, state: SlotState) -> None:
        self._state = state
        self._is_cuda = state.position.device.type == "cuda"
        self._buffers = [self._buffer() for _ in range(2)]
        self._on_the_way: deque[tuple[Report, torch.cuda.Event | None]] = deque()
        self.next_number = 0

    def _buffer(self) -> dict[str, torch.Tensor]:
        return {
            part: torch.empty_like(
                getattr(self._state, part), device="cpu", pin_memory=self._is_cuda
            )
            for part in PARTS
        }

    def take(self) -> None:
        """Send off a report of the slots after all that was asked of the device so far."""
        buffer = self._buffers[self.next_number % len(self._buffers)]
        for part, target in buffer.items():
            target.copy_(getattr(self._state, part), non_blocking=True)
        arrived = None
        if self._is_cuda:
            arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrived.record()
        self._on_the_way.append((Report(self.next_number, **buffer), arrived))
        self.next_number += 1

    def read(self, *, is_last: bool = False) -> Report | None:
        """The report before the last, or None if there is only one; valid until the next `take`.

        With `is_last`, when no steps follow, the last one if there is no other.
        """
        if is_last and not self._on_the_way:
            self.take()
        if len(self._on_the_way) < len(self._buffers) and not is_last:
            return None
        report, arrived = self._on_the_way.popleft()
        if arrived is not None:
            arrived.synchronize()
        return report
