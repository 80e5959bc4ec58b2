import pytest

from domain.errors import OutOfMemory
from domain.options import TranscriptionOptions
from engines.ctranslate2_batches import hear_out
from engines.ctranslate2_decoder import Decoded, Decoder
from engines.out_of_memory import guard_memory

STAMPS_FROM = 1000  # the id of <|0.00|> in these tests


def stamp(seconds):
    return STAMPS_FROM + round(seconds / 0.02)


def decoded(temperature, *, avg_logprob=-0.3, compression_ratio=1.5):
    return Decoded([1], temperature, avg_logprob, compression_ratio, no_speech_prob=0.0)


class ScriptedDecoder(Decoder):
    """A decoder whose model says, at each temperature, what it was told to."""

    def __init__(self, *script):
        super().__init__(None, None, TranscriptionOptions("tiny"), lambda: False)
        self._script = {step.temperature: step for step in script}
        self.temperatures = []

    def decode(self, encoded, context, temperature, n_windows=1):
        self.temperatures.append(temperature)
        return [self._script[temperature]]


def test_text_that_is_begun_and_not_closed_is_taken_as_it_is():
    tokens = [stamp(0), 5, stamp(4), stamp(4), 6, 7]

    pieces, frames = hear_out(tokens, STAMPS_FROM, 900)

    assert [(p.first, p.last) for p in pieces] == [(0, 3), (3, 6)]
    assert (pieces[1].start_s, pieces[1].end_s) == (4.0, 9.0)
    assert frames == 900


def test_what_lies_behind_the_last_time_stamp_is_to_be_heard_again():
    tokens = [stamp(0), 5, stamp(4), stamp(4)]

    pieces, frames = hear_out(tokens, STAMPS_FROM, 900)

    assert [(p.start_s, p.end_s) for p in pieces] == [(0.0, 4.0)]
    assert frames == 400


def test_a_window_whose_text_is_closed_is_heard_out():
    tokens = [stamp(0), 5, stamp(4), stamp(4), 6, stamp(8)]

    pieces, frames = hear_out(tokens, STAMPS_FROM, 900)

    assert [(p.start_s, p.end_s) for p in pieces] == [(0.0, 4.0), (4.0, 8.0)]
    assert frames == 900


def test_a_failed_window_is_tried_hotter_until_its_text_passes():
    decoder = ScriptedDecoder(decoded(0.2, avg_logprob=-2.0), decoded(0.4))

    final = decoder.decode_with_fallback(None, [], tried=[decoded(0.0, compression_ratio=3.0)])

    assert final == decoded(0.4)
    assert decoder.temperatures == [0.2, 0.4]


def test_where_no_text_passes_the_likeliest_without_repetition_is_taken():
    script = [decoded(t / 10, avg_logprob=-1.2 - t / 10) for t in (2, 4, 6, 8, 10)]
    decoder = ScriptedDecoder(decoded(0.0, compression_ratio=9.0), *script)

    final = decoder.decode_with_fallback(None, [])

    assert final == decoded(1.0, avg_logprob=-1.4)


@pytest.mark.parametrize(
    "message",
    [
        "CUDA failed with error out of memory",
        "cuBLAS failed with status CUBLAS_STATUS_ALLOC_FAILED",
    ],
)
def test_a_device_that_is_full_is_recognised_by_the_librarys_words(message):
    def fail():
        raise RuntimeError(message)

    with pytest.raises(OutOfMemory):
        guard_memory(fail, model_size="tiny", device="cuda:0")
