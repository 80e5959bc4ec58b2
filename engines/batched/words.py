"""Words and their times for what was heard in windows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from whisper.model import Whisper
from whisper.tokenizer import Tokenizer

from domain.speech import Span
from domain.transcript import Segment
from engines import window_rules as rules
from engines.batched.alignment import Text, TextAligner, alignment_heads
from engines.batched.network import FRAMES_PER_PLACE, FusedWhisper
from engines.batched.word_rules import give_words

GROUP = 8  # windows that a GPU aligns side by side


@dataclass(frozen=True)
class HeardPart:
    """What was heard in a window."""

    segments: Sequence[Segment]
    span: Span
    features: torch.Tensor  # (1500, width), of the window


def words_at_a_time(device: torch.device) -> int:
    """How many windows to align side by side.

    On a CPU one: it is busy with one, and its words depend on no other to the last bit.
    """
    return 1 if device.type == "cpu" else GROUP


class WordFinder:
    """Gives the segments of one recording their words."""

    def __init__(self, model: Whisper, network: FusedWhisper, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._aligner = TextAligner(network, alignment_heads(model), tokenizer)

    def __call__(self, parts: Sequence[HeardPart]) -> list[list[Segment]]:
        """The segments of each window with words, and with times that follow them."""
        texts = [self._text(part) for part in parts]
        times = iter(self._aligner([text for text in texts if text.tokens]))
        return [
            give_words(
                part.segments,
                next(times),
                self._tokenizer,
                offset_s=round(part.span.start_s * rules.FRAMES_PER_S) / rules.FRAMES_PER_S,
                speech_from_s=part.span.start_s,
            )
            if text.tokens
            else [replace(segment, words=()) for segment in part.segments]
            for part, text in zip(parts, texts, strict=True)
        ]

    def _text(self, part: HeardPart) -> Text:
        eot = self._tokenizer.eot
        frames = round(part.span.length_s * rules.FRAMES_PER_S)
        return Text(
            tokens=[t for segment in part.segments for t in segment.tokens if t < eot],
            features=part.features,
            places=min(frames // FRAMES_PER_PLACE, len(part.features)),
        )
