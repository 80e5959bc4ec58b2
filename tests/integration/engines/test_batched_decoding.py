"""Many windows side by side are written as whisper writes each of them, in any company."""

from difflib import SequenceMatcher
from functools import cache

import numba
import pytest
import torch
import whisper
from whisper.model import ModelDimensions
from whisper.tokenizer import get_tokenizer

from engines.batched.kernels import FORBIDDEN
from engines.batched.network import FusedWhisper
from engines.batched.requests import WindowRequest
from engines.batched.slots import SlotDecoder
from tests.integration.engines.fused import (
    PROMPT,
    SLOTS,
    TOKENIZER,
    as_values,
    decode_together,
    decoder,
    request,
    tiny,
    windows,
)

TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
EARLIER = "Chapter one, The Period. By Charles Dickens, who was born in Portsmouth."
TOO_LONG = "It was the best of times, " * 60  # more tokens than a prompt may have
BEGINNING = 48  # tokens
SEED = 1  # of an encoder that tells the windows apart
MOST_EARLIER = 223  # tokens of the earlier text that whisper takes


def prompt_of(text):
    earlier = TOKENIZER.encode(" " + text.strip())[-MOST_EARLIER:]
    return (TOKENIZER.sot_prev, *earlier, *PROMPT)


@cache
def whispers(number, prompt=None):
    """What openai-whisper writes for a window."""
    options = whisper.DecodingOptions(language="en", fp16=False, prompt=prompt)
    return whisper.decode(tiny(), windows()[number], options)


@cache
def together(dtype):
    """What we write for all windows, more of them than there are slots."""
    requests = [request(number, dtype) for number in range(len(windows()))]
    return decode_together(decoder(dtype), requests)


@pytest.fixture(params=TYPES.values(), ids=TYPES)
def dtype(request):
    return request.param


@pytest.fixture(autouse=True)
def one_thread():
    use_threads(1)
    yield
    use_threads(1)


def test_in_float32_every_window_has_whispers_tokens():
    theirs = [whispers(number) for number in range(len(windows()))]

    ours = together(torch.float32)

    assert [window.tokens for window in ours] == [window.tokens for window in theirs]
    assert [window.avg_logprob for window in ours] == pytest.approx(
        [window.avg_logprob for window in theirs], abs=1e-3
    )
    assert [window.no_speech_prob for window in ours] == pytest.approx(
        [window.no_speech_prob for window in theirs], abs=1e-3
    )


def test_in_bfloat16_nearly_all_tokens_are_whispers():
    pairs = [
        (whispers(i).tokens, window.tokens) for i, window in enumerate(together(TYPES["bfloat16"]))
    ]

    same = sum(
        block.size
        for theirs, ours in pairs
        for block in SequenceMatcher(None, theirs, ours, autojunk=False).get_matching_blocks()
    )
    most = sum(max(map(len, pair)) for pair in pairs)

    assert same / most > 0.9  # 0.98 on a processor with bfloat16 of its own


def test_an_earlier_text_of_any_length_is_read_as_whisper_reads_it():
    texts = [EARLIER, TOO_LONG, "Hm."]
    numbers = [6, 1, 3]
    theirs = [whispers(number, text) for number, text in zip(numbers, texts, strict=True)]

    requests = [
        request(number, torch.float32, prompt=prompt_of(text))
        for number, text in zip(numbers, texts, strict=True)
    ]
    ours = decode_together(decoder(torch.float32), requests)

    assert [window.tokens for window in ours] == [window.tokens for window in theirs]
    assert [window.no_speech_prob for window in ours] == pytest.approx(
        [window.no_speech_prob for window in theirs], abs=1e-3
    )


def test_a_window_is_bit_equal_alone_and_in_any_company(dtype):
    several = decode_together(
        decoder(dtype, 3), [request(number, dtype) for number in (9, 2, 5, 0)]
    )
    alone = [
        decode_together(decoder(dtype, 1), [request(number, dtype)])[0] for number in (9, 2, 5, 0)
    ]

    written = [as_values(together(dtype)[number]) for number in (9, 2, 5, 0)]
    assert list(map(as_values, several)) == written
    assert list(map(as_values, alone)) == written


def test_a_window_is_bit_equal_for_any_number_of_threads(dtype):
    requests = [request(number, dtype) for number in (0, 5, 2)]

    written = []
    for threads in (1, 2):
        use_threads(threads)
        written.append(list(map(as_values, decode_together(decoder(dtype), requests))))

    assert written[0] == written[1]


def test_a_window_may_join_in_the_middle_of_the_others_texts(dtype):
    slots = decoder(dtype)
    first = slots.admit(request(9, dtype))
    for _ in range(11):
        assert slots.step() == []

    second = slots.admit(request(4, dtype, prompt=prompt_of(EARLIER)))
    ended = run_until_empty(slots)

    alone = decode_together(decoder(dtype), [request(4, dtype, prompt=prompt_of(EARLIER))])
    assert as_values(ended[first]) == as_values(together(dtype)[9])
    assert as_values(ended[second]) == as_values(alone[0])


def test_a_released_slot_is_free_for_another_window(dtype):
    slots = decoder(dtype)
    kept = slots.admit(request(0, dtype))
    given_up = [slots.admit(request(number, dtype, temperature=0.5)) for number in (6, 7, 8)]
    slots.step()
    assert slots.free == 0

    for slot in given_up:
        slots.release(slot)
    free = slots.free
    taken = slots.admit(request(5, dtype))
    ended = run_until_empty(slots)

    assert free == SLOTS - 1
    assert set(ended) == {kept, taken}
    assert as_values(ended[kept]) == as_values(together(dtype)[0])
    assert as_values(ended[taken]) == as_values(together(dtype)[5])
    assert slots.step() == []


def test_what_is_drawn_depends_on_the_seed_alone(dtype):
    def draw(seed, company):
        drawing = request(0, dtype, temperature=0.8, seed=seed)
        others = [request(number, dtype, temperature=0.8, seed=9) for number in company]
        return as_values(decode_together(decoder(dtype), [*others, drawing])[-1])

    alone, in_company, otherwise = draw(1, ()), draw(1, (5, 2, 3)), draw(2, ())

    assert alone == in_company
    assert alone[0] != otherwise[0]


def test_windows_that_draw_leave_the_others_alone(dtype):
    requests = [request(2, dtype), request(3, dtype, temperature=1.0), request(5, dtype)]

    ours = decode_together(decoder(dtype), requests)

    assert [as_values(ours[i]) for i in (0, 2)] == [as_values(together(dtype)[i]) for i in (2, 5)]


@pytest.mark.parametrize(("prompt", "most"), [(PROMPT, 224), (prompt_of(TOO_LONG), 448 - 227)])
def test_a_text_without_an_end_stops_where_the_text_context_does(prompt, most):
    slots = decoder(torch.float32)
    slots._rules._never_numbers[TOKENIZER.eot] = FORBIDDEN
    endless = request(0, torch.float32, prompt=prompt)

    ended = decode_together(slots, [endless, endless])

    assert [len(window.tokens) for window in ended] == [most, most]


@pytest.fixture(scope="module")
def english_only():
    """A model of the English-only kind that was never trained, the same one every time."""
    dims = ModelDimensions(80, 1500, 128, 2, 1, 51_864, 448, 128, 2, 2)
    generator = torch.Generator().manual_seed(4)
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        model = whisper.model.Whisper(dims).eval()
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(noise * (0.3 if parameter.ndim > 1 else 0.1))
    return model


def test_an_english_only_model_is_decoded_as_whisper_does(english_only):
    tokenizer = get_tokenizer(multilingual=False)
    network = FusedWhisper(english_only, dtype=torch.float32, rows=SLOTS)
    slots = SlotDecoder(network, tokenizer, slots=SLOTS)
    mels = torch.stack(windows()[:3])
    options = whisper.DecodingOptions(language="en", fp16=False)
    theirs = whisper.decode(english_only, mels, options)

    with torch.inference_mode():
        requests = [
            WindowRequest(features, tuple(tokenizer.sot_sequence), sot_index=0)
            for features in network.encode(mels)
        ]
    ours = decode_together(slots, requests)

    # Noise grows along a text of random weights, and the last digits are the processor's.
    beginnings = [window.tokens[:BEGINNING] for window in ours]
    assert beginnings == [window.tokens[:BEGINNING] for window in theirs]
    assert len(set(map(tuple, beginnings))) > 1


def use_threads(count):
    torch.set_num_threads(count)
    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))


def run_until_empty(slots):
    """The windows that end, by slot."""
    ended = {}
    while slots.free < SLOTS:
        ended |= dict(slots.step())
    return ended
