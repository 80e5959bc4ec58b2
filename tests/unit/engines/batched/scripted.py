"""What a recording's run stands between: networks and a decoder that say what they are told."""

from collections import Counter
from dataclasses import replace

import numpy as np
import torch
from whisper.tokenizer import get_tokenizer

from audio.speech import FRAME_S, SpeechMap
from domain.options import TranscriptionOptions
from domain.speech import Span
from domain.transcript import Word
from engines.batched.requests import DecodedWindow
from engines.batched.run import RecordingRun
from engines.window_trail import WindowTrail

TOKENIZER = get_tokenizer(multilingual=True, language="en", task="transcribe")
STAMPS_FROM = TOKENIZER.timestamp_begin
OPTIONS = TranscriptionOptions("tiny")
WITH_WORDS = TranscriptionOptions("tiny", word_timestamps=True)


def speech_map(*spans, duration_s):
    """A recording with speech in these spans, (start, end) in seconds, and silence between."""
    probabilities = np.zeros(int(np.ceil(duration_s / FRAME_S)), np.float32)
    for start_s, end_s in spans:
        probabilities[int(start_s / FRAME_S) : int(np.ceil(end_s / FRAME_S))] = 0.9
    return SpeechMap(tuple(Span(*span) for span in spans), probabilities, duration_s)


def stamp(seconds):
    return STAMPS_FROM + round(seconds / 0.02)


def said(*pieces, avg_logprob=-0.2, no_speech_prob=0.0):
    """A window whose text is these pieces, (start, text, end) with seconds in the window; an
    end of None leaves the last of them unfinished.
    """
    tokens = []
    for start_s, text, end_s in pieces:
        tokens += [stamp(start_s), *TOKENIZER.encode(" " + text)]
        tokens += [] if end_s is None else [stamp(end_s)]
    return DecodedWindow(tokens, avg_logprob * (len(tokens) + 1), no_speech_prob)


def said_throughout(span, text=None):
    """A window in which somebody speaks from its beginning to its end."""
    return said((0.0, text or f"from {span.start_s:.1f}", span.length_s))


class ScriptedListener:
    """Networks that know a window by its place in the recording."""

    def __init__(self, fail_at_s=None, *, words_at_a_time=1):
        self._fail_at_s = fail_at_s
        self.words_at_a_time = words_at_a_time
        self.encoded = []
        self.asked_words = []  # the windows of each time

    def encode(self, span):
        if span.start_s == self._fail_at_s:
            raise ValueError("cannot listen to this")
        self.encoded.append(span)
        return torch.tensor([[span.start_s, span.end_s]], dtype=torch.float64)

    def settle_language(self, plan):
        self.asked_plan = list(plan)
        return TOKENIZER

    def carried(self):
        return {"language": "en"}

    def find_words(self, parts):
        """One word in each segment, from the middle of it on."""
        self.asked_words.append(parts)
        return [[_with_word(segment) for segment in part.segments] for part in parts]


def _with_word(segment):
    start_s = (segment.start + segment.end) / 2
    word = Word(segment.text, start_s, segment.end)
    return replace(segment, start=start_s, words=(word,))


def make_run(speech, options=OPTIONS, *, listener=None, resume=(), on_window=lambda _: None):
    trail = WindowTrail(resume, on_window, engine="openai_whisper", model="tiny")
    return RecordingRun(speech, options, listener or ScriptedListener(), trail)


def span_of(request):
    """Which part of the recording a request is about."""
    return Span(*request.features[0].tolist())


class ScriptedDecoder:
    """Slots whose windows end after `steps`, with the text that `script` has for the request."""

    def __init__(self, slots=4, *, steps=2, script=None):
        self._script = script or (lambda request: said_throughout(span_of(request)))
        self._steps = steps
        self._slots = slots
        self.busy = {}  # slot -> [steps left, request]
        self.admitted = []
        self.released = Counter()

    @property
    def free(self):
        return self._slots - len(self.busy)

    def admit(self, request):
        slot = min(set(range(self._slots)) - self.busy.keys())
        self.busy[slot] = [self._steps, request]
        self.admitted.append(request)
        return slot

    def step(self):
        for entry in self.busy.values():
            entry[0] -= 1
        ended = [(slot, request) for slot, (left, request) in self.busy.items() if left <= 0]
        for slot, _ in ended:
            del self.busy[slot]
        return [(slot, self._script(request)) for slot, request in ended]

    def release(self, slot):
        self.released[slot] += slot in self.busy
        self.busy.pop(slot, None)

    def clear(self):
        self.busy.clear()

    def resize(self, slots):
        assert not self.busy
        self._slots = slots
