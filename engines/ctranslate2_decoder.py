"""Windows through a CTranslate2 model: language, decoding, cutting into segments, word times.

Model, tokenizer and word times are faster-whisper's; the rules of a window are those that the
other engine has, in `engines.window_rules`.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from numpy.typing import NDArray

from domain.errors import Stopped
from domain.options import TranscriptionOptions
from domain.transcript import Segment, Word
from engines import window_rules as rules

MAX_TOKENS = 448  # of prompt and text together: the length of the decoder
BEST_OF = 5  # texts that are drawn at a temperature above 0; the likeliest one stays
OPENING_MARKS = "\"'“¿([{-"  # written with the word that follows
CLOSING_MARKS = "\"'.。,，!！?？:：”)]}、"  # noqa: RUF001 - and with the word before

Mel = NDArray[np.float32]  # (bands, frames), 100 frames per second
Draft = dict[str, Any]  # a segment while the alignment still moves its times


@dataclass(frozen=True)
class Decoded:
    """What the model made of one window."""

    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float

    @property
    def needs_hotter(self) -> bool:
        """See `window_rules.needs_hotter`."""
        return rules.needs_hotter(self.compression_ratio, self.avg_logprob, self.no_speech_prob)

    @property
    def has_no_speech(self) -> bool:
        """See `window_rules.has_no_speech`."""
        return rules.has_no_speech(self.no_speech_prob, self.avg_logprob)


@dataclass
class Decoder:
    """One recording's way through one model."""

    model: WhisperModel
    mel: Mel  # of the whole recording, with at least a window of silence behind it
    options: TranscriptionOptions
    should_stop: Callable[[], bool]
    language: str | None = None  # None: no window had anything to hear yet
    language_probability: float | None = None
    timings_s: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.language = self.options.language
        self._tokenizer: Tokenizer | None = None

    @property
    def tokenizer(self) -> Tokenizer:
        """faster-whisper's, for the language that was settled."""
        if self._tokenizer is None:
            self._tokenizer = Tokenizer(
                self.model.hf_tokenizer,
                self.model.model.is_multilingual,
                task=self.options.task,
                language=self.language,
            )
        return self._tokenizer

    @property
    def initial_context(self) -> list[int]:
        """Tokens of the initial prompt."""
        prompt = self.options.initial_prompt
        tokens: list[int] = self.tokenizer.encode(" " + prompt.strip()) if prompt else []
        return tokens

    def ask(self) -> None:
        """Raise Stopped when the caller wants no more."""
        if self.should_stop():
            raise Stopped

    def encode(self, spans: Sequence[tuple[int, int]]) -> Any:
        """Run the encoder over windows, given as first and last frame (exclusive) of each."""
        self.ask()
        windows = [
            pad_or_trim(self.mel[:, first:last], rules.WINDOW_FRAMES) for first, last in spans
        ]
        with self.timed("encode_s"):
            encoded = self.model.encode(np.stack(windows))
        if self.language is None:
            self._settle_language(encoded)
        return encoded

    def _settle_language(self, encoded: Any) -> None:
        if not self.model.model.is_multilingual:
            self.language = "en"
            return
        with self.timed("language_s"):
            token, probability = self.model.model.detect_language(encoded)[0][0]
        self.language = token.strip("<|>")
        self.language_probability = probability

    def decode(
        self, encoded: Any, context: Sequence[int], temperature: float, n_windows: int = 1
    ) -> list[Decoded]:
        """Decode encoded windows side by side, all after the same context."""
        self.ask()
        prompt = self.model.get_prompt(self.tokenizer, list(context))
        how: dict[str, Any] = {"beam_size": self.options.beam_size or 1}
        if temperature > 0:
            how = {
                "beam_size": 1,
                "num_hypotheses": BEST_OF,
                "sampling_topk": 0,  # from all tokens
                "sampling_temperature": temperature,
            }
        with self.timed("decode_s"):
            results = self.model.model.generate(
                encoded,
                [prompt] * n_windows,
                max_length=MAX_TOKENS,
                return_scores=True,
                return_no_speech_prob=True,
                **how,
            )
        return [self._decoded(result, temperature) for result in results]

    def decode_with_fallback(
        self, encoded: Any, context: Sequence[int], tried: Sequence[Decoded] = ()
    ) -> Decoded:
        """Decode one window, hotter and hotter until the text passes; `tried` did not.

        Where none passes, the likeliest text that does not repeat itself is taken, with the
        last temperature: it is no context for the next window.
        """
        tried = list(tried)
        for temperature in rules.temperatures_of(self.options.temperature)[len(tried) :]:
            tried += self.decode(encoded, context, temperature)
            if not tried[-1].needs_hotter:
                return tried[-1]
        best = max(
            tried,
            key=lambda d: (d.compression_ratio <= rules.MAX_COMPRESSION_RATIO, d.avg_logprob),
        )
        return replace(best, temperature=tried[-1].temperature)

    def _decoded(self, result: Any, temperature: float) -> Decoded:
        tokens = result.sequences_ids[0]
        in_bytes = self.tokenizer.decode(tokens).strip().encode()
        return Decoded(
            tokens=tokens,
            temperature=temperature,
            # The score is a mean over the tokens; Whisper's counts the end of the text too.
            avg_logprob=result.scores[0] * len(tokens) / (len(tokens) + 1),
            compression_ratio=len(in_bytes) / len(zlib.compress(in_bytes)),
            no_speech_prob=result.no_speech_prob,
        )

    def drafts(self, seek: int, decoded: Decoded, pieces: Sequence[rules.Piece]) -> list[Draft]:
        """The segments of the window at frame `seek`."""
        start_s = seek / rules.FRAMES_PER_S
        return [
            {
                "seek": seek,
                "start": start_s + piece.start_s,
                "end": start_s + piece.end_s,
                "tokens": decoded.tokens[piece.first : piece.last],
                "decoded": decoded,
            }
            for piece in pieces
        ]

    def time_words(
        self, windows: list[list[Draft]], encoded: Any, frames: list[int], last_speech_s: float
    ) -> None:
        """Give the drafts of every window their words, and move their times to the words'."""
        with self.timed("words_s"):
            self.model.add_word_timestamps(
                windows,
                self.tokenizer,
                encoded,
                frames,
                OPENING_MARKS,
                CLOSING_MARKS,
                last_speech_s,
            )

    def segments(self, drafts: Sequence[Draft], first_id: int) -> list[Segment]:
        """The drafts that say something, numbered from `first_id`."""
        found: list[Segment] = []
        for draft in drafts:
            text = self.tokenizer.decode(draft["tokens"])
            if text.strip() and draft["start"] < draft["end"]:
                found.append(self._segment(draft, text, first_id + len(found)))
        return found

    def _segment(self, draft: Draft, text: str, number: int) -> Segment:
        decoded: Decoded = draft["decoded"]
        words = tuple(
            Word(word["word"], float(word["start"]), float(word["end"]), float(word["probability"]))
            for word in draft.get("words", ())
        )
        return Segment(
            id=number,
            seek=draft["seek"],
            start=float(draft["start"]),
            end=float(draft["end"]),
            text=text,
            tokens=tuple(draft["tokens"]),
            temperature=decoded.temperature,
            avg_logprob=decoded.avg_logprob,
            compression_ratio=decoded.compression_ratio,
            no_speech_prob=decoded.no_speech_prob,
            words=words if self.options.word_timestamps else None,
        )

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the seconds that the block takes to `timings_s`."""
        started = perf_counter()
        yield
        self.timings_s[name] = self.timings_s.get(name, 0.0) + perf_counter() - started


def last_speech_s(segments: Sequence[Segment]) -> float:
    """Where the last timed word ends, in seconds; 0 before there is one."""
    return segments[-1].words[-1].end if segments and segments[-1].words else 0.0
