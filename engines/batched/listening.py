"""What one recording's run asks of the networks: features, the language, the times of words."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import whisper
from whisper.audio import N_FRAMES
from whisper.tokenizer import Tokenizer, get_tokenizer

from domain.options import TranscriptionOptions
from domain.speech import Span
from domain.transcript import Segment
from engines import window_rules as rules
from engines.base import Samples
from engines.batched.decoder import WindowDecoder
from engines.batched.device_encoder import DeviceEncoder
from engines.batched.network import SILENT_MEL, FusedWhisper
from engines.batched.requests import Features, WaitingFeatures, tensor_of
from engines.batched.words import HeardPart, WordFinder, words_at_a_time
from engines.mel import log_mel

PLAN_VERSION = 1  # of the rules that cut a recording into windows, and of what is carried
# Silence behind a window that is encoded with it. Without it the last word's sound would meet
# silence that knows nothing of it, and Whisper goes on writing.
TAIL_FRAMES = 200
VOTERS = 3  # windows that are asked for the language when the first is not sure
SURE = 0.5


class WhisperListener:
    """One recording before the networks. Used by whoever drives the decoder, once `prepare` was
    called by the recording's owner.
    """

    def __init__(
        self,
        model: whisper.Whisper,
        network: FusedWhisper,
        decoder: WindowDecoder,
        audio: Samples,
        options: TranscriptionOptions,
        encoder: DeviceEncoder | None = None,
    ) -> None:
        """With an `encoder` windows wait until several can be encoded together."""
        self._model = model
        self._network = network
        self._decoder = decoder
        self._encoder = encoder
        self._options = options
        self.language = options.language if model.is_multilingual else "en"
        self.language_probability: float | None = None
        self.timings_s: dict[str, float] = {}
        self._audio = audio
        self._spectrogram: torch.Tensor | None = None
        self._heard_for_language: dict[Span, Features] = {}
        self._words: WordFinder | None = None

    def go_on(self, carried: dict[str, Any]) -> None:
        """Know what the last kept window says."""
        self.language = carried["language"]
        self.language_probability = carried["language_probability"]

    def carried(self) -> dict[str, Any]:
        """See `run.Listener.carried`."""
        return {
            "plan": PLAN_VERSION,
            "language": self.language,
            "language_probability": self.language_probability,
        }

    def prepare(self, before_piece: Callable[[], None] = lambda: None) -> None:
        """Make the spectrogram (bins, frames): of hours it takes a minute, and windows of other
        recordings shall not stand still for it. What `before_piece` raises ends it.
        """
        with self._timed("mel_s"):
            self._spectrogram = log_mel(
                self._audio,
                self._network.dims.n_mels,
                device=self._network.device,
                before_piece=before_piece,
            )

    @torch.inference_mode()
    def encode(self, span: Span) -> Features:
        """Features (1500, width) of a window, followed by silence up to 30 s."""
        known = self._heard_for_language.pop(span, None)
        if known is not None:
            return known
        spectrogram = self._spectrogram
        assert spectrogram is not None  # noqa: S101 - prepared before its first window
        with self._timed("encode_s"):
            first, last = (round(t * rules.FRAMES_PER_S) for t in (span.start_s, span.end_s))
            recorded = spectrogram[:, first : min(last, first + N_FRAMES)]
            # Those that are encoded together have to be of one length.
            tail = TAIL_FRAMES if self._encoder is None else N_FRAMES
            frames = min(N_FRAMES, recorded.shape[1] + tail)
            mel = recorded.new_full((len(recorded), frames + frames % 2), SILENT_MEL)
            mel[:, : recorded.shape[1]] = recorded
            if self._encoder is not None:
                return WaitingFeatures(mel, self._encoder.encode)
            return self._network.encode(mel[None])[0]

    def settle_language(self, plan: Sequence[Span]) -> Tokenizer:
        """See `run.Listener.settle_language`."""
        if self.language is None:
            self.language, self.language_probability = self._detect(plan)
        tokenizer = get_tokenizer(
            self._model.is_multilingual,
            num_languages=self._model.num_languages,
            language=self.language,
            task=self._options.task,
        )
        if self._options.word_timestamps:
            self._words = WordFinder(self._model, self._network, tokenizer)
        return tokenizer

    @property
    def words_at_a_time(self) -> int:
        """See `run.Listener.words_at_a_time`."""
        return words_at_a_time(self._network.device)

    def find_words(self, parts: Sequence[HeardPart]) -> list[list[Segment]]:
        """See `run.Listener.find_words`. Once the language is settled."""
        assert self._words is not None  # noqa: S101
        with self._timed("words_s"), self._network.same_threads():
            return self._words(parts)

    def _detect(self, plan: Sequence[Span]) -> tuple[str, float]:
        """The language of the first window, or of the first few when that one is not sure."""
        totals: dict[str, float] = {}
        features = {}
        for count, span in enumerate(plan[:VOTERS], start=1):
            features[span] = self.encode(span)
            with self._timed("language_s"):
                found = self._decoder.detect_language(tensor_of(features[span]))
            for code, chance in found.items():
                totals[code] = totals.get(code, 0.0) + chance
            best = max(totals, key=totals.__getitem__)
            if totals[best] / count >= SURE:
                break
        self._heard_for_language = features
        return best, totals[best] / count

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.timings_s[name] = self.timings_s.get(name, 0.0) + time.perf_counter() - started
