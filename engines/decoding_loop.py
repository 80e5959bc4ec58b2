"""The loop over a recording's windows, with the rules of openai-whisper's `transcribe`.

Three things differ on purpose, none of them in the text of speech: every window is encoded
once, for language, all temperatures and word times; a digitally silent window is not
decoded; and between windows somebody else gets the floor (progress, stop, threads).

After every window but the last the loop says what it needs to go on from there: the segments,
whose tokens are the context of what follows, and a few values in `Window.carried`.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from time import perf_counter
from typing import Any

import torch
import whisper
from whisper.audio import HOP_LENGTH, SAMPLE_RATE, pad_or_trim
from whisper.decoding import DecodingOptions, DecodingResult, DecodingTask
from whisper.timing import add_word_timestamps
from whisper.tokenizer import Tokenizer, get_tokenizer

from domain.options import TranscriptionOptions
from domain.transcript import Segment, Word
from engines import window_rules as rules
from engines.base import Samples
from engines.mel import LONG_PIECE_FRAMES, log_mel
from engines.random_state import (
    DrawingDecoder,
    make_generator,
    restore_random_state,
    save_random_state,
)
from engines.silence import is_silent
from engines.window_trail import WindowTrail

# Alignment hangs hooks into the model that all share, and switches a flag of whisper's attention
# class for every thread of the process. What decodes meanwhile must not read it: see
# `own_modules`.
ALIGNMENT_LOCK = Lock()

Draft = dict[str, Any]  # a segment while whisper's alignment still moves its times


@dataclass
class Heard:
    """What the loop found out about a recording."""

    segments: list[Segment] = field(default_factory=list)
    language: str | None = None  # None: no window had anything to hear
    language_probability: float | None = None
    timings_s: dict[str, float] = field(default_factory=dict)


class EncodedWindow:
    """Stands in for the model where whisper's alignment would encode the window once more."""

    def __init__(self, model: whisper.Whisper, features: torch.Tensor) -> None:
        self.device = model.device
        self.dims = model.dims
        self.decoder = model.decoder
        self.alignment_heads = model.alignment_heads
        self._features = features

    def __call__(self, _mel: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Logits of the tokens, shape (1, tokens, vocabulary)."""
        # Not through the module's hooks: an error in them would leave whisper's own ones behind.
        logits: torch.Tensor = self.decoder.forward(tokens, self._features)
        return logits


class WindowLoop:
    """One pass over one recording. Use once."""

    def __init__(
        self,
        model: whisper.Whisper,
        audio: Samples,
        options: TranscriptionOptions,
        *,
        trail: WindowTrail,
        before_window: Callable[[], None],
        aligner: whisper.Whisper,
    ) -> None:
        """`model` has modules of its own; `aligner`, with the same weights, may be shared."""
        self._model = model
        self._aligner = aligner
        self._audio = audio
        self._options = options
        self._trail = trail
        self._before_window = before_window
        self._dtype = model.decoder.token_embedding.weight.dtype
        self._heard = Heard(language=options.language)
        self._tokenizer: Tokenizer | None = None
        self._context: list[int] = []  # tokens of the prompt and of everything heard so far
        self._context_from = 0
        self._seek = 0
        self._last_speech_s = 0.0
        self._generator = make_generator(model.device)
        self._has_drawn = False  # in this window, from the generator

    @torch.no_grad()
    def run(self, on_progress: Callable[[float], None]) -> Heard:
        """Decode the windows that are not there yet; `on_progress` gets the share after each."""
        if self._trail.kept:
            self._go_on(self._trail.kept[-1].carried)
        with self._timed("mel_s"):
            mel = log_mel(
                self._audio,
                self._model.dims.n_mels,
                piece_frames=LONG_PIECE_FRAMES,  # every bit as openai-whisper has it
                before_piece=self._before_window,
            )
        content_frames = mel.shape[-1] - rules.WINDOW_FRAMES
        while self._seek < content_frames:
            self._before_window()
            frames = min(rules.WINDOW_FRAMES, content_frames - self._seek)
            first = self._seek * HOP_LENGTH
            known = len(self._heard.segments)
            if is_silent(self._audio[first : first + frames * HOP_LENGTH]):
                self._seek += frames
            else:
                self._hear(mel[:, self._seek : self._seek + frames])
            if self._seek < content_frames:
                self._trail.add(self._seek, self._heard.segments[known:], self._carried())
            on_progress(min(self._seek, content_frames) / content_frames)
        return self._heard

    def _carried(self) -> dict[str, Any]:
        """What the next window needs beside the segments, as plain JSON."""
        carried: dict[str, Any] = {
            "language": self._heard.language,
            "language_probability": self._heard.language_probability,
            "context_from": self._context_from,
            "last_speech_s": self._last_speech_s,
            "timings_s": dict(self._heard.timings_s),
        }
        if self._has_drawn:
            self._has_drawn = False
            carried["random"] = save_random_state(self._generator)
        return carried

    def _go_on(self, carried: dict[str, Any]) -> None:
        """Stand where the last kept window ended; `carried` is what it says."""
        self._seek = self._trail.next_seek
        self._heard = Heard(
            segments=self._trail.segments,
            language=carried["language"],
            language_probability=carried["language_probability"],
            timings_s=dict(carried["timings_s"]),
        )
        # `_start` puts the initial prompt in front of it.
        self._context = [token for segment in self._heard.segments for token in segment.tokens]
        self._context_from = carried["context_from"]
        self._last_speech_s = carried["last_speech_s"]
        self._go_on_drawing()

    def _go_on_drawing(self) -> None:
        """Set the generator to where the kept windows left it, if they drew on such a device."""
        for window in reversed(self._trail.kept):
            # It stands only in windows that drew: what follows them left the state alone.
            saved = window.carried.get("random", {})
            if self._generator.device.type in saved:
                restore_random_state(self._generator, saved)
                return

    def _hear(self, recorded: torch.Tensor) -> None:
        """Decode the window that starts at `_seek`; `recorded` is its mel without padding."""
        mel = pad_or_trim(recorded, rules.WINDOW_FRAMES).to(self._model.device, self._dtype)
        with self._timed("encode_s"):
            features = self._model.encoder(mel.unsqueeze(0))
        tokenizer = self._tokenizer or self._start(features)
        with self._timed("decode_s"):
            result = self._decode(features)
        frames = recorded.shape[-1]
        if rules.has_no_speech(result.no_speech_prob, result.avg_logprob):
            self._seek += frames
            return
        cut = rules.cut_window(result.tokens, tokenizer.timestamp_begin, frames)
        drafts = [self._draft(piece, result) for piece in cut.pieces]
        seek = self._seek + cut.advance_frames
        if self._options.word_timestamps:
            with self._timed("words_s"):
                last_word_s = self._align(drafts, mel, features, frames)
            window_start_s = self._seek * HOP_LENGTH / SAMPLE_RATE
            if not cut.ends_in_silence and last_word_s > window_start_s:
                seek = round(last_word_s * SAMPLE_RATE / HOP_LENGTH)
        self._keep(drafts, result.temperature)
        # A window that would be heard again unchanged would be heard for ever.
        self._seek = seek if seek > self._seek else self._seek + frames

    def _start(self, features: torch.Tensor) -> Tokenizer:
        """Settle the language on the first window with anything to hear."""
        if not self._model.is_multilingual:
            self._heard.language = "en"
        elif self._heard.language is None:
            with self._timed("language_s"):
                _, found = whisper.detect_language(self._model, features)
            self._heard.language = max(found[0], key=found[0].__getitem__)
            self._heard.language_probability = found[0][self._heard.language]
        self._tokenizer = get_tokenizer(
            self._model.is_multilingual,
            num_languages=self._model.num_languages,
            language=self._heard.language,
            task=self._options.task,
        )
        if self._options.initial_prompt:
            prompt = " " + self._options.initial_prompt.strip()
            self._context = [*self._tokenizer.encode(prompt), *self._context]
        return self._tokenizer

    def _decode(self, features: torch.Tensor) -> DecodingResult:
        for temperature in rules.temperatures_of(self._options.temperature):
            is_sampling = temperature > 0
            self._has_drawn = self._has_drawn or is_sampling
            options = DecodingOptions(
                task=self._options.task,
                language=self._heard.language,
                temperature=temperature,
                beam_size=None if is_sampling else self._options.beam_size,
                prompt=self._context[self._context_from :],
                fp16=self._dtype == torch.float16,
            )
            decoding = DecodingTask(self._model, options)
            if is_sampling:
                eot = decoding.tokenizer.eot
                decoding.decoder = DrawingDecoder(temperature, eot, self._generator)
            result = decoding.run(features)[0]
            if not rules.needs_hotter(
                result.compression_ratio, result.avg_logprob, result.no_speech_prob
            ):
                break
        return result

    def _draft(self, piece: rules.Piece, result: DecodingResult) -> Draft:
        assert self._tokenizer is not None  # noqa: S101 - set before the first decode
        tokens = result.tokens[piece.first : piece.last]
        start_s = float(self._seek * HOP_LENGTH / SAMPLE_RATE)
        return {
            "seek": self._seek,
            "start": start_s + piece.start_s,
            "end": start_s + piece.end_s,
            "text": self._tokenizer.decode([t for t in tokens if t < self._tokenizer.eot]),
            "tokens": tokens,
            "temperature": result.temperature,
            "avg_logprob": result.avg_logprob,
            "compression_ratio": result.compression_ratio,
            "no_speech_prob": result.no_speech_prob,
        }

    def _align(
        self, drafts: list[Draft], mel: torch.Tensor, features: torch.Tensor, frames: int
    ) -> float:
        """Give the drafts their words; return where the last word ends, in seconds."""
        with ALIGNMENT_LOCK:
            add_word_timestamps(
                segments=drafts,
                model=EncodedWindow(self._aligner, features),
                tokenizer=self._tokenizer,
                mel=mel,
                num_frames=frames,
                last_speech_timestamp=self._last_speech_s,
            )
        ends = [word["end"] for draft in drafts for word in draft["words"]]
        self._last_speech_s = float(ends[-1] if ends else drafts[-1]["end"])
        return self._last_speech_s

    def _keep(self, drafts: list[Draft], temperature: float) -> None:
        for draft in drafts:
            if draft["start"] == draft["end"] or not draft["text"].strip():
                draft.update(text="", tokens=[], words=[])
            self._heard.segments.append(self._segment(draft))
            self._context.extend(draft["tokens"])
        if temperature > rules.MAX_PROMPTING_TEMPERATURE:
            self._context_from = len(self._context)

    def _segment(self, draft: Draft) -> Segment:
        words = tuple(
            Word(word["word"], float(word["start"]), float(word["end"]), float(word["probability"]))
            for word in draft.get("words", ())
        )
        return Segment(
            id=len(self._heard.segments),
            seek=draft["seek"],
            start=float(draft["start"]),
            end=float(draft["end"]),
            text=draft["text"],
            tokens=tuple(draft["tokens"]),
            temperature=float(draft["temperature"]),
            avg_logprob=_known(draft["avg_logprob"]),
            compression_ratio=_known(draft["compression_ratio"]),
            no_speech_prob=_known(draft["no_speech_prob"]),
            words=words if self._options.word_timestamps else None,
        )

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        started = perf_counter()
        yield
        spent = self._heard.timings_s
        spent[name] = spent.get(name, 0.0) + perf_counter() - started


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
