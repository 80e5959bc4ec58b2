"""One window's way through the decoder, as values."""

from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class WindowRequest:
    """A window to decode. Recordings, jobs and languages may differ within a batch."""

    features: torch.Tensor  # (frames, width): what the encoder made of it
    prompt: tuple[int, ...]  # tokens up to and with the last of the start-of-transcript ones
    sot_index: int  # where <|startoftranscript|> stands in it
    temperature: float = 0.0
    seed: int = 0  # of the draws at temperatures above 0


@dataclass
class DecodedWindow:
    """What the decoder wrote; tokens without the end token."""

    tokens: list[int] = field(default_factory=list)
    sum_logprob: float = 0.0
    no_speech_prob: float = 0.0
    temperature: float = 0.0

    @property
    def avg_logprob(self) -> float:
        """Mean log probability of a token, the end token counted, as Whisper has it."""
        return self.sum_logprob / (len(self.tokens) + 1)
