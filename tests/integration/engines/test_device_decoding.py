"""The decoder for GPUs, run on a CPU, writes what the CPU's decoder and whisper write."""

from functools import cache

import pytest
import torch
import whisper

from engines.batched import device_slots
from engines.batched.device_encoder import DeviceEncoder
from engines.batched.device_operations import TorchOperations
from engines.batched.device_slots import STEPS_PER_LOOK, DeviceSlotDecoder
from engines.batched.requests import WaitingFeatures, WindowRequest
from tests.integration.engines import fused
from tests.integration.engines.fused import PROMPT, SLOTS, TOKENIZER, tiny, windows

PLAIN = torch.float32
EARLIER = "Chapter one, The Period. By Charles Dickens, who was born in Portsmouth."
TOO_LONG = "It was the best of times, " * 60  # more tokens than a prompt may have


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def device_decoder(slots=SLOTS, **options):
    return DeviceSlotDecoder(fused.network(PLAIN), TOKENIZER, slots=slots, **options)


def request(number, **options):
    return fused.request(number, PLAIN, **options)


def prompt_of(text):
    return (TOKENIZER.sot_prev, *TOKENIZER.encode(" " + text.strip())[-223:], *PROMPT)


@cache
def cpus(number, *, prompt=PROMPT):
    """What the CPU's decoder writes for a window by itself."""
    requests = [request(number, prompt=prompt)]
    return fused.decode_together(fused.decoder(PLAIN), requests)[0]


def run_out(*_):
    raise MemoryError


def run_until_empty(decoder, slots):
    """The windows that end, by slot."""
    ended = {}
    while len(ended) < slots:
        ended |= dict(decoder.step())
    return ended


@pytest.mark.parametrize("slots", [3, 9])
def test_every_window_has_the_tokens_of_the_cpus_decoder_in_any_number_of_slots(slots):
    numbers = range(len(windows()))

    ours = fused.decode_together(device_decoder(slots), [request(number) for number in numbers])

    theirs = [cpus(number) for number in numbers]
    assert [window.tokens for window in ours] == [window.tokens for window in theirs]
    assert [window.avg_logprob for window in ours] == pytest.approx(
        [window.avg_logprob for window in theirs], abs=1e-3
    )
    assert [window.no_speech_prob for window in ours] == pytest.approx(
        [window.no_speech_prob for window in theirs], abs=1e-3
    )


@pytest.mark.parametrize("number", [0, 6])
def test_a_window_has_whispers_tokens(number):
    options = whisper.DecodingOptions(language="en", fp16=False)
    theirs = whisper.decode(tiny(), windows()[number], options)

    [ours] = fused.decode_together(device_decoder(), [request(number)])

    assert ours.tokens == theirs.tokens
    assert ours.avg_logprob == pytest.approx(theirs.avg_logprob, abs=1e-3)
    assert ours.no_speech_prob == pytest.approx(theirs.no_speech_prob, abs=1e-3)


def test_prompts_of_different_lengths_begin_side_by_side():
    prompts = [PROMPT, prompt_of(EARLIER), prompt_of(TOO_LONG), prompt_of("Hm.")]
    requests = [
        request(number, prompt=prompt) for number, prompt in zip((2, 6, 1, 3), prompts, strict=True)
    ]

    ours = fused.decode_together(device_decoder(), requests)

    expected = [
        cpus(number, prompt=prompt) for number, prompt in zip((2, 6, 1, 3), prompts, strict=True)
    ]
    assert [window.tokens for window in ours] == [window.tokens for window in expected]
    assert [window.no_speech_prob for window in ours] == pytest.approx(
        [window.no_speech_prob for window in expected], abs=1e-3
    )


def test_a_window_may_join_in_the_middle_of_the_others_texts():
    decoder = device_decoder()
    first = decoder.admit(request(9))
    for _ in range(3):
        assert decoder.step() == []

    second = decoder.admit(request(4, prompt=prompt_of(EARLIER)))
    ended = run_until_empty(decoder, 2)

    assert ended[first].tokens == cpus(9).tokens
    assert ended[second].tokens == cpus(4, prompt=prompt_of(EARLIER)).tokens


def test_released_slots_take_other_windows_and_leave_their_neighbours_alone():
    decoder = device_decoder()
    kept = decoder.admit(request(0))
    given_up = [decoder.admit(request(number, temperature=0.5)) for number in (6, 7)]
    decoder.step()
    never_begun = decoder.admit(request(8))
    assert decoder.free == 0

    for slot in (*given_up, never_begun):
        decoder.release(slot)
    free = decoder.free
    taken = decoder.admit(request(5))
    ended = run_until_empty(decoder, 2)

    assert free == SLOTS - 1
    assert set(ended) == {kept, taken}
    assert (ended[kept].tokens, ended[taken].tokens) == (cpus(0).tokens, cpus(5).tokens)
    assert decoder.step() == []


def test_a_report_about_an_earlier_window_of_a_slot_ends_no_later_one():
    decoder = device_decoder(1, most_tokens=STEPS_PER_LOOK)
    slot = decoder.admit(request(0))
    decoder.step()  # a report that it has ended is on its way
    decoder.release(slot)

    decoder.admit(request(5))
    ended = run_until_empty(decoder, 1)

    assert ended[slot].tokens == cpus(5).tokens[:STEPS_PER_LOOK]


def test_after_an_error_every_slot_is_free_and_writes_as_before():
    decoder = device_decoder()
    for number in (1, 2, 3):
        decoder.admit(request(number))
    decoder.step()

    decoder.clear()
    free = decoder.free
    [window] = fused.decode_together(decoder, [request(5)])

    assert free == SLOTS
    assert window.tokens == cpus(5).tokens


def test_another_number_of_slots_writes_the_same():
    decoder = device_decoder()

    decoder.resize(2)
    ours = fused.decode_together(decoder, [request(number) for number in (0, 5, 2)])

    assert [window.tokens for window in ours] == [cpus(number).tokens for number in (0, 5, 2)]


def test_where_there_was_no_room_for_fewer_slots_there_may_be_for_still_fewer(monkeypatch):
    decoder = device_decoder()
    with monkeypatch.context() as full:
        full.setattr(device_slots, "DeviceCache", run_out)
        with pytest.raises(MemoryError):
            decoder.resize(4)
    decoder.clear()

    decoder.resize(2)
    [window] = fused.decode_together(decoder, [request(5)])

    assert window.tokens == cpus(5).tokens
    assert decoder.free == 2


def test_what_is_drawn_depends_on_the_seed_alone():
    def draw(seed, company, slots=SLOTS):
        drawing = request(0, temperature=0.8, seed=seed)
        others = [request(number, temperature=0.8, seed=9) for number in company]
        return fused.decode_together(device_decoder(slots), [*others, drawing])[-1]

    alone, in_company, otherwise = draw(1, ()), draw(1, (5, 2, 3, 4), 3), draw(2, ())

    assert alone.tokens == in_company.tokens
    assert alone.tokens != otherwise.tokens
    assert alone.temperature == 0.8


def test_windows_that_draw_leave_the_others_alone():
    requests = [request(2), request(3, temperature=1.0), request(5)]

    ours = fused.decode_together(device_decoder(), requests)

    assert [ours[0].tokens, ours[2].tokens] == [cpus(2).tokens, cpus(5).tokens]
    assert ours[1].tokens != cpus(3).tokens


@pytest.mark.parametrize("most", [1, 2, STEPS_PER_LOOK + 1])
def test_a_bound_on_the_text_is_kept_to_the_token(most):
    decoder = device_decoder(most_tokens=most)

    ended = fused.decode_together(decoder, [request(number) for number in (0, 5, 2, 3, 9)])

    expected = [cpus(number).tokens[:most] for number in (0, 5, 2, 3, 9)]
    assert [window.tokens for window in ended] == expected


@pytest.mark.parametrize(("prompt", "most"), [(PROMPT, 224), (prompt_of(TOO_LONG), 448 - 227)])
def test_a_text_without_an_end_stops_where_the_text_context_does(prompt, most):
    decoder = device_decoder(2)
    decoder.rules.forbid([TOKENIZER.eot])

    ended = fused.decode_together(decoder, [request(0, prompt=prompt)] * 2)

    assert [len(window.tokens) for window in ended] == [most, most]


def test_the_language_is_that_of_the_cpus_decoder():
    features = fused.features(6, PLAIN)

    found = device_decoder().detect_language(features)

    expected = fused.decoder(PLAIN).detect_language(features)
    assert found == pytest.approx(expected, abs=1e-5)
    assert max(found, key=found.__getitem__) == "en"


def test_a_long_recording_waits_for_several_slots_but_never_for_all():
    decoder = device_decoder(16)
    slots = [decoder.admit(request(0)) for _ in range(16)]
    decoder.step()

    free = []
    for slot in slots[:3]:
        decoder.release(slot)
        free.append(decoder.free)

    assert free == [0, 2, 3]


def test_recorded_steps_write_what_steps_that_are_run_do():
    def capture(run):
        for _ in range(3):
            run()
        return run

    ours = fused.decode_together(
        device_decoder(3, capture=capture), [request(number) for number in (9, 2, 5, 0)]
    )

    assert [window.tokens for window in ours] == [cpus(number).tokens for number in (9, 2, 5, 0)]


def test_windows_that_wait_are_encoded_together_as_whisper_does():
    encoder = DeviceEncoder(fused.network(PLAIN), TorchOperations())
    calls = []

    def encode(mels):
        calls.append(len(mels))
        return encoder.encode(mels)

    decoder = device_decoder()
    decoder.encoder.encode = encode
    waiting = [WaitingFeatures(windows()[number], encode) for number in (0, 5, 2)]
    requests = [WindowRequest(features, PROMPT, sot_index=0) for features in waiting]

    ours = fused.decode_together(decoder, requests)

    assert calls == [3]
    assert [window.tokens for window in ours] == [cpus(number).tokens for number in (0, 5, 2)]
    with torch.inference_mode():
        expected = tiny().encoder(windows()[5][None])[0]
    error = (waiting[1].tensor - expected).norm() / expected.norm()
    assert float(error) < 1e-5
