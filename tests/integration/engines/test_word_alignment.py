"""Texts are aligned as openai-whisper aligns them, on real weights and real speech."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
import whisper
from whisper.timing import add_word_timestamps, find_alignment

from domain.speech import Span
from domain.transcript import Segment
from engines.batched.alignment import Text, TextAligner, alignment_heads
from engines.batched.words import HeardPart, WordFinder
from engines.decoding_loop import EncodedWindow
from tests.integration.engines import fused
from tests.integration.engines.fused import TOKENIZER, network, tiny

SOME = tuple(range(8))  # of the project's windows
LENGTHS_S = (11.0, 6.0, 9.5, 12.0, 8.0, 10.0, 30.0, 17.0)


@pytest.fixture(autouse=True)
def without_gradients():
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield


@cache
def model():
    tiny().set_alignment_heads(whisper._ALIGNMENT_HEADS["tiny"])
    return tiny()


@cache
def written(number):
    """What openai-whisper hears in a window, as tokens."""
    options = whisper.DecodingOptions(language="en", fp16=False)
    return tuple(whisper.decode(tiny(), fused.windows()[number], options).tokens)


def text(number, dtype=torch.float32):
    tokens = [token for token in written(number) if token < TOKENIZER.eot]
    return Text(tokens, fused.features(number, dtype), round(LENGTHS_S[number] * 50))


def align(texts, dtype=torch.float32):
    return TextAligner(network(dtype), alignment_heads(model()), TOKENIZER)(texts)


def features_for_whisper(features):
    return EncodedWindow(model(), features[None].float().clone())


@cache
def whispers_words(number):
    """Of the same text and the same features."""
    ours = text(number)
    stand_in = features_for_whisper(ours.features)
    empty = torch.empty(0)
    return find_alignment(stand_in, TOKENIZER, list(ours.tokens), empty, 2 * ours.places)


def differences(number, found):
    """Seconds between our starts and ends of words and those of openai-whisper."""
    words = whispers_words(number)
    bounds = np.cumsum([0, *(len(word.tokens) for word in words)])
    starts = found.bounds_s[bounds[:-1]] - [word.start for word in words]
    ends = found.bounds_s[bounds[1:]] - [word.end for word in words]
    return np.abs([*starts, *ends])


@pytest.mark.parametrize("number", SOME)
def test_tokens_lie_where_whisper_itself_finds_them(number):
    [found] = align([text(number)])

    apart_s = differences(number, found)
    assert len(apart_s) > 10
    assert np.median(apart_s) < 1e-6
    assert (apart_s < 0.041).all()


@pytest.mark.parametrize("number", SOME)
def test_a_word_is_as_probable_as_whisper_finds_it(number):
    [found] = align([text(number)])

    words = whispers_words(number)
    bounds = np.cumsum([0, *(len(word.tokens) for word in words)])
    ours = [found.probabilities[i:j].mean() for i, j in pairwise(bounds)]
    assert ours == pytest.approx([word.probability for word in words], abs=1e-4)


def test_windows_in_company_have_the_times_they_have_alone():
    texts = [text(number) for number in SOME]
    texts[2] = Text(texts[2].tokens[:1], texts[2].features, 2)
    texts[5] = Text(texts[5].tokens, texts[5].features, 1)

    together = align(texts)

    assert len({len(each.tokens) for each in texts}) > 4
    for one, found in zip(texts, together, strict=True):
        [alone] = align([one])
        assert (np.abs(found.bounds_s - alone.bounds_s) < 0.021).all()
        assert found.probabilities == pytest.approx(alone.probabilities, abs=1e-4)
        assert len(found.bounds_s) == len(one.tokens) + 1
        assert found.bounds_s[-1] * 50 < max(1, one.places)


def test_in_bfloat16_words_hardly_move():
    apart_s = np.concatenate(
        [differences(n, align([text(n, torch.bfloat16)], torch.bfloat16)[0]) for n in SOME]
    )

    assert np.median(apart_s) < 0.021
    assert np.mean(apart_s < 0.101) > 0.95


def part(number, tokens, start_s=0.0):
    """A window of one segment."""
    end_s = start_s + LENGTHS_S[number]
    words = TOKENIZER.decode([token for token in tokens if token < TOKENIZER.eot])
    segment = Segment(0, round(start_s * 100), start_s, end_s, words, tuple(tokens))
    return HeardPart([segment], Span(start_s, end_s), fused.features(number, torch.float32))


def find_words(parts):
    return WordFinder(model(), network(torch.float32), TOKENIZER)(parts)


@pytest.mark.parametrize("start_s", [0.0, 100.37])
def test_words_and_segments_are_those_of_whispers_own_timing(start_s):
    parts = [part(number, written(number), start_s) for number in SOME]

    found = find_words(parts)

    for each, [segment] in zip(parts, found, strict=True):
        draft = {"seek": each.segments[0].seek, "start": each.span.start_s,
                 "end": each.span.end_s, "tokens": list(each.segments[0].tokens)}  # fmt: skip
        add_word_timestamps(
            segments=[draft],
            model=features_for_whisper(each.features),
            tokenizer=TOKENIZER,
            mel=torch.empty(0),
            num_frames=round(each.span.length_s * 100),
            last_speech_timestamp=each.span.start_s,
        )
        assert [word.word for word in segment.words] == [word["word"] for word in draft["words"]]
        for word, theirs in zip(segment.words, draft["words"], strict=True):
            times = (word.start, word.end)
            assert times == pytest.approx((theirs["start"], theirs["end"]), abs=0.041)
        expected = pytest.approx((draft["start"], draft["end"]), abs=0.041)
        assert (segment.start, segment.end) == expected


@pytest.mark.parametrize("tokens", [(), (TOKENIZER.timestamp_begin, TOKENIZER.timestamp_begin + 9)])
def test_a_window_without_text_has_no_words_and_disturbs_no_other(tokens):
    empty, full = part(0, tokens), part(1, written(1))

    [without], [beside] = find_words([empty, full])
    [[alone]] = find_words([full])

    assert (without.words, without.start, without.end) == ((), 0.0, LENGTHS_S[0])
    assert beside == alone
    assert find_words([empty]) == [[without]]
    assert find_words([]) == []
