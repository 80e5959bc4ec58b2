"""Our words and openai-whisper's, of the same weights in one process."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from time import perf_counter
from typing import Any, cast

import numpy as np
import torch
import whisper
from whisper.audio import HOP_LENGTH, N_FRAMES, pad_or_trim
from whisper.timing import WordTiming, find_alignment
from whisper.tokenizer import Tokenizer, get_tokenizer

from benchmarks.word_times import SpokenWord
from config import Settings
from domain.options import TranscriptionOptions
from engines.base import Samples
from engines.batched.alignment import Text, TextAligner, TokenTimes, alignment_heads
from engines.batched.network import FRAMES_PER_PLACE
from engines.batched.words import words_at_a_time
from engines.decoding_loop import EncodedWindow
from engines.openai_whisper import OpenAIWhisperEngine
from engines.registry import get_loader

SEED = 0  # for every recording, as in the server's engine: temperatures above 0 draw


@dataclass(frozen=True)
class Heard:
    """What one side made of a recording."""

    words: list[SpokenWord]
    language: str
    windows: list["TextWindow"]


@dataclass(frozen=True)
class TextWindow:
    """A window of openai-whisper's and its text."""

    mel: torch.Tensor  # (bins, 3000)
    frames: int  # that are recording
    tokens: list[int]


@dataclass(frozen=True)
class Aligned:
    """Both sides' times of the same text in the same windows, and seconds of each round."""

    pairs: list[tuple[SpokenWord, SpokenWord]]
    ours_s: list[float]
    whisper_s: list[float]  # as it ships: it encodes the window again
    whisper_kept_s: list[float]  # on features that are there


class WordSides:
    """Both sides with their models in memory."""

    def __init__(self, model_size: str, *, device: str, threads: int) -> None:
        settings = Settings().model_copy(update={"device": device, "torch_threads": threads})
        loader = get_loader("openai_whisper", settings)
        self.device = loader.devices()[0]
        torch.set_num_threads(threads)
        self._threads = threads
        self._options = TranscriptionOptions(model_size, word_timestamps=True)
        self._engine = cast("OpenAIWhisperEngine", loader.load(model_size, self.device))
        self._model = whisper.load_model(
            model_size, device=self.device, download_root=str(settings.model_path)
        )
        # What the engine itself computes with.
        self._network = self._engine._batched_decoder()._network  # noqa: SLF001

    def hear(self, samples: Samples) -> list[SpokenWord]:
        """The engine's words."""
        transcript = self._engine.transcribe(
            samples, self._options, on_progress=lambda _: None, should_stop=lambda: False
        )
        torch.set_num_threads(self._threads)
        return [
            SpokenWord(word.word, word.start, word.end)
            for segment in transcript.segments
            for word in segment.words or ()
        ]

    def hear_as_whisper(self, samples: Samples) -> Heard:
        """openai-whisper's words, by `transcribe` at its defaults, and its windows."""
        torch.manual_seed(SEED)
        result = whisper.transcribe(
            self._model, samples, word_timestamps=True, fp16=self.device != "cpu"
        )
        segments = result["segments"]
        words = [
            SpokenWord(word["word"], word["start"], word["end"])
            for segment in segments
            for word in segment["words"]
        ]
        return Heard(words, result["language"], list(self._windows(samples, segments)))

    def _windows(
        self, samples: Samples, segments: Sequence[dict[str, Any]]
    ) -> Iterator[TextWindow]:
        bins = self._model.dims.n_mels
        mel = whisper.log_mel_spectrogram(samples, bins, padding=N_FRAMES * HOP_LENGTH)
        end = mel.shape[1] - N_FRAMES
        first_special = get_tokenizer(self._model.is_multilingual).eot
        for seek, group in groupby(segments, key=lambda segment: segment["seek"]):
            tokens = [t for s in group for t in s["tokens"] if t < first_special]
            frames = min(N_FRAMES, end - seek)
            if tokens:
                window = pad_or_trim(mel[:, seek : seek + frames], N_FRAMES)
                yield TextWindow(window.to(self.device), frames, tokens)

    @torch.no_grad()
    def align(self, heard: Heard, rounds: int) -> Aligned:
        """Align the windows of a recording by both sides, in turns."""
        tokenizer = get_tokenizer(
            self._model.is_multilingual,
            num_languages=self._model.num_languages,
            language=heard.language,
        )
        texts = [self._text(window) for window in heard.windows]
        kept = [self._features(window) for window in heard.windows]
        aligner = TextAligner(self._network, alignment_heads(self._model), tokenizer)
        spent: dict[str, list[float]] = {"ours": [], "whisper": [], "kept": []}
        for _ in range(rounds):
            found = self._timed(spent["ours"], lambda: self._ours(aligner, texts))
            timings = self._timed(
                spent["whisper"],
                lambda: [self._whispers(w, self._model, tokenizer) for w in heard.windows],
            )
            self._timed(
                spent["kept"],
                lambda: [
                    self._whispers(window, EncodedWindow(self._model, features), tokenizer)
                    for window, features in zip(heard.windows, kept, strict=True)
                ],
            )
        pairs = [
            pair
            for times, theirs in zip(found, timings, strict=True)
            for pair in _pairs(times, theirs)
        ]
        return Aligned(pairs, spent["ours"], spent["whisper"], spent["kept"])

    def _text(self, window: TextWindow) -> Text:
        with torch.inference_mode():
            features = self._network.encode(window.mel[None])[0]
        return Text(window.tokens, features, window.frames // FRAMES_PER_PLACE)

    def _features(self, window: TextWindow) -> torch.Tensor:
        features: torch.Tensor = self._model.encoder(window.mel[None])
        return features

    def _ours(self, aligner: TextAligner, texts: Sequence[Text]) -> list[TokenTimes]:
        size = words_at_a_time(self._network.device)
        groups = [texts[i : i + size] for i in range(0, len(texts), size)]
        return [times for group in groups for times in aligner(group)]

    def _whispers(self, window: TextWindow, model: Any, tokenizer: Tokenizer) -> list[WordTiming]:
        found: list[WordTiming] = find_alignment(
            model, tokenizer, window.tokens, window.mel, window.frames
        )
        return found

    def _timed(self, spent: list[float], work: Callable[[], list[Any]]) -> list[Any]:
        started_at = perf_counter()
        result = work()  # ends with times on the host, so a GPU is done as well
        spent.append(perf_counter() - started_at)
        return result


def _pairs(
    times: TokenTimes, theirs: Sequence[WordTiming]
) -> Iterator[tuple[SpokenWord, SpokenWord]]:
    bounds = np.cumsum([0, *(len(word.tokens) for word in theirs)]).tolist()
    for word, (first, behind) in zip(theirs, pairwise(bounds), strict=True):
        mine = SpokenWord(word.word, float(times.bounds_s[first]), float(times.bounds_s[behind]))
        yield mine, SpokenWord(word.word, float(word.start), float(word.end))
