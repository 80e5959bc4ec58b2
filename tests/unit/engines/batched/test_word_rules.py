import numpy as np
import pytest
import torch
import whisper.timing
from hypothesis import given, settings
from hypothesis import strategies as st
from whisper.timing import WordTiming, add_word_timestamps
from whisper.tokenizer import get_tokenizer

from domain.transcript import Segment
from engines.batched.alignment import TokenTimes
from engines.batched.word_rules import OPENING_MARKS, give_words
from tests.unit.engines.batched.scripted import STAMPS_FROM, TOKENIZER

SEEK = 1230
TEXTS = (
    (" He paid $1,200.50 for it. Why? Nobody knows!", ' "Well," she said, (softly) — "no."'),
    (" In 1999, 3 of 4 cars;", " 50% were red: R2-D2's [sic] {one}...", " ¿Qué? -- 7"),
    ("...", " Hm."),
    (" Yes.", ". And", " no"),
)


def segment(text, start, end, tokenizer=TOKENIZER):
    tokens = (STAMPS_FROM, *tokenizer.encode(text), STAMPS_FROM + 9)
    return Segment(0, SEEK, start, end, text, tokens)


def even_times(count, step_s=0.2):
    return TokenTimes(np.arange(count + 1) * step_s, np.full(count, 0.5))


def text_tokens(segments, tokenizer=TOKENIZER):
    return [t for each in segments for t in each.tokens if t < tokenizer.eot]


def words_of(*texts, tokenizer=TOKENIZER, step_s=0.2):
    segments = [segment(text, SEEK / 100, SEEK / 100 + 5, tokenizer) for text in texts]
    times = even_times(len(text_tokens(segments, tokenizer)), step_s)
    return give_words(segments, times, tokenizer, offset_s=12.3, speech_from_s=12.3)


def whispers_words(segments, times, monkeypatch, speech_from_s):
    """What openai-whisper's rules make of the same times."""

    def find_alignment(_model, tokenizer, tokens, _mel, _frames):
        texts, groups = tokenizer.split_to_word_tokens([*tokens, tokenizer.eot])
        bounds = np.cumsum([0, *map(len, groups[:-1])])
        return [
            WordTiming(text, group, times.bounds_s[i], times.bounds_s[j],
                       np.mean(times.probabilities[i:j]))
            for text, group, i, j in zip(texts, groups, bounds, bounds[1:], strict=False)
        ]  # fmt: skip

    drafts = [
        {"seek": s.seek, "start": s.start, "end": s.end, "tokens": s.tokens} for s in segments
    ]
    with monkeypatch.context() as patch:
        patch.setattr(whisper.timing, "find_alignment", find_alignment)
        add_word_timestamps(
            segments=drafts, model=None, tokenizer=TOKENIZER, mel=torch.empty(0), num_frames=0,
            last_speech_timestamp=speech_from_s,
        )  # fmt: skip
    return drafts


@pytest.fixture(scope="module")
def patches():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(TEXTS), st.integers(0, 10_000))
def test_words_and_segments_get_the_times_that_whispers_rules_give(patches, texts, seed):
    rng = np.random.default_rng(seed)
    stamps = np.sort(rng.integers(0, 1000, 2 * len(texts))) * 0.02 + SEEK / 100
    segments = [segment(t, *stamps[2 * i : 2 * i + 2].tolist()) for i, t in enumerate(texts)]
    count = len(text_tokens(segments))
    steps = rng.choice([0, 1, 5, 10, 20, 80, 300], count + 1)
    times = TokenTimes(np.cumsum(steps) / 50, rng.random(count))
    speech_from_s = SEEK / 100

    found = give_words(segments, times, TOKENIZER, offset_s=SEEK / 100, speech_from_s=speech_from_s)

    expected = whispers_words(segments, times, patches, speech_from_s)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.start, ours.end) == pytest.approx((theirs["start"], theirs["end"]))
        for mine, word in zip(ours.words, theirs["words"], strict=True):
            assert mine.word == word["word"]
            assert (mine.start, mine.end) == pytest.approx((word["start"], word["end"]))
            assert mine.probability == pytest.approx(word["probability"])


def test_numbers_and_marks_stand_in_words_with_times():
    text = ' Well, "3 of 4" cost $1,200.50 (50%)!'

    [found] = words_of(text)

    assert "".join(word.word for word in found.words) == text
    assert {" Well,", ' "3', ' 4"', " $1", ",200"} <= {word.word for word in found.words}
    assert all(word.end > word.start for word in found.words)
    times = [time for word in found.words for time in (word.start, word.end)]
    assert times == sorted(times)


def test_a_pause_in_the_mark_that_ends_a_sentence_belongs_to_no_word():
    text = " One two three. Four five six."
    pause_s = np.array([0, 0, 0, 0, 4, 4, 4, 4, 4])  # in the first full stop

    [found] = give_words(
        [segment(text, 12.3, 30.0)],
        TokenTimes(even_times(8).bounds_s + pause_s, np.full(8, 0.5)),
        TOKENIZER,
        offset_s=12.3,
        speech_from_s=12.3,
    )

    before, behind = found.words[2:4]
    assert (before.word, behind.word) == (" three.", " Four")
    assert (before.start, before.end) == pytest.approx((12.7, 12.9))
    assert (behind.start, behind.end) == pytest.approx((17.1, 17.3))


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("ja", "今日は3月です。", ["今日は", "3", "月", "です。"]),
        ("de", " Die 3 Äpfel, bitte.", [" Die", " 3", " Äpfel,", " bitte."]),
    ],
)
def test_a_text_is_parted_as_its_language_is_written(language, text, words):
    tokenizer = get_tokenizer(multilingual=True, language=language, task="transcribe")

    [found] = words_of(text, tokenizer=tokenizer)

    assert [word.word for word in found.words] == words


def test_a_sign_that_is_never_completed_does_not_take_the_words_behind_it():
    half = TOKENIZER.encode("狗")[:-1]
    broken = [*TOKENIZER.encode(" so"), *half, *TOKENIZER.encode("年 it is")]
    segments = [Segment(0, SEEK, 12.3, 15.0, "", tuple(broken))]

    [found] = give_words(
        segments, even_times(len(broken)), TOKENIZER, offset_s=12.3, speech_from_s=12.3
    )

    assert "".join(word.word for word in found.words).endswith("年 it is")


def test_a_segment_whose_marks_went_to_the_one_before_keeps_its_times():
    first, second = words_of(" Yes", "...")

    assert [word.word for word in first.words] == [" Yes..."]
    assert (second.words, second.start, second.end) == ((), 12.3, 17.3)


def test_an_opening_mark_at_the_end_stands_alone():
    [found] = words_of(f" no {OPENING_MARKS[0]}")

    assert "".join(word.word for word in found.words) == f" no {OPENING_MARKS[0]}"
