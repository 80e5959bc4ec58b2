"""One window's way through the decoder, as values."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch


class WaitingFeatures:
    """A window that will be encoded together with others, or alone if it is asked for before."""

    def __init__(self, mel: torch.Tensor, encode: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """`encode` makes features (windows, frames, width) of spectrograms (windows, bins, 3000);
        `mel` (bins, 3000) is one of them.
        """
        self.mel: torch.Tensor | None = mel  # None once it is encoded
        self._encode = encode
        self._features: torch.Tensor | None = None

    @property
    def tensor(self) -> torch.Tensor:
        """The features (frames, width)."""
        if self._features is None:
            assert self.mel is not None  # noqa: S101 - `put` takes it away and brings the features
            self.put(self._encode(self.mel[None])[0])
        assert self._features is not None  # noqa: S101
        return self._features

    def put(self, features: torch.Tensor) -> None:
        """Take what somebody encoded; the spectrogram is not needed any more."""
        self._features, self.mel = features, None


Features = torch.Tensor | WaitingFeatures  # of one window


def tensor_of(features: Features) -> torch.Tensor:
    """The features (frames, width), encoded now if nobody has yet."""
    return features if isinstance(features, torch.Tensor) else features.tensor


@dataclass(frozen=True)
class WindowRequest:
    """A window to decode. Recordings, jobs and languages may differ within a batch."""

    features: Features  # (frames, width): what the encoder made of it
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
