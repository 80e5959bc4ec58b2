"""What a decoder of many windows promises to those who drive it."""

from typing import Protocol

import torch

from engines.batched.requests import DecodedWindow, WindowRequest


class WindowDecoder(Protocol):
    """Decodes windows side by side, each in its slot. For one thread at a time."""

    @property
    def free(self) -> int:
        """How many windows can be admitted now."""
        ...

    def admit(self, request: WindowRequest) -> int:
        """Give a window a slot; its text begins now or at the next step. Returns the slot."""
        ...

    def step(self) -> list[tuple[int, DecodedWindow]]:
        """Write on in every busy slot; returns the windows known to have ended, now free."""
        ...

    def resize(self, slots: int) -> None:
        """Have so many slots from now on. All of them must be free."""
        ...

    def release(self, slot: int) -> None:
        """Free a slot whose window nobody waits for any more."""
        ...

    def clear(self) -> None:
        """Free every slot: after an error in here nobody knows how far their windows are."""
        ...

    def detect_language(self, features: torch.Tensor) -> dict[str, float]:
        """Probability of every language, by code, of one window's features.

        Call it while a slot is free.
        """
        ...
