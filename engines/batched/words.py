"""Times of words, by openai-whisper's own alignment, on features that are there already."""

from dataclasses import replace
from typing import Any

import torch
import whisper
from whisper.timing import add_word_timestamps
from whisper.tokenizer import Tokenizer

from domain.speech import Span
from domain.transcript import Segment, Word
from engines import window_rules as rules
from engines.decoding_loop import ALIGNMENT_LOCK, EncodedWindow


class WordFinder:
    """Gives the segments of one recording their words."""

    def __init__(self, model: whisper.Whisper, tokenizer: Tokenizer) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._dtype = model.decoder.token_embedding.weight.dtype

    @torch.no_grad()
    def __call__(
        self, segments: list[Segment], span: Span, features: torch.Tensor
    ) -> list[Segment]:
        """The segments of one window with words, and with times that follow them.

        `features` (frames, width) is what the encoder made of the window.
        """
        drafts = [_draft(segment) for segment in segments]
        frames = round(span.length_s * rules.FRAMES_PER_S)
        with ALIGNMENT_LOCK:
            add_word_timestamps(
                segments=drafts,
                model=EncodedWindow(self._model, features[None].to(self._dtype).clone()),
                tokenizer=self._tokenizer,
                mel=torch.empty(0, frames),
                num_frames=frames,
                last_speech_timestamp=span.start_s,
            )
        return [_with_words(s, draft) for s, draft in zip(segments, drafts, strict=True)]


def _draft(segment: Segment) -> dict[str, Any]:
    return {
        "seek": segment.seek,
        "start": segment.start,
        "end": segment.end,
        "text": segment.text,
        "tokens": list(segment.tokens),
    }


def _with_words(segment: Segment, draft: dict[str, Any]) -> Segment:
    words = tuple(
        Word(word["word"], float(word["start"]), float(word["end"]), float(word["probability"]))
        for word in draft["words"]
    )
    return replace(segment, start=float(draft["start"]), end=float(draft["end"]), words=words)
