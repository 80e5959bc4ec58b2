from dataclasses import asdict, replace

import pytest

from domain.coverage import report_coverage, warnings_of
from domain.speech import Span
from domain.transcript import Coverage, Gap, Segment, Suspicion, coverage_from_dict

PLAIN = Segment(
    id=0,
    seek=0,
    start=0.0,
    end=4.0,
    text=" It was the best of times, it was the worst of times.",
    avg_logprob=-0.2,
    compression_ratio=1.3,
    no_speech_prob=0.01,
)
TEXTS = ("best of times", "worst of times", "age of wisdom", "age of foolishness", "epoch")


def segments(*times, **changes):
    return [
        replace(PLAIN, id=i, start=start, end=end, text=f" It was the {TEXTS[i % 5]}.", **changes)
        for i, (start, end) in enumerate(times)
    ]


def spans(*pairs):
    return [Span(start, end) for start, end in pairs]


def signs(coverage):
    return [(s.kind, s.reason, s.segment_ids) for s in coverage.suspicions]


@pytest.mark.parametrize(
    ("speech", "times", "speech_s", "transcribed_s", "share", "gaps"),
    [
        # Nothing to hear, nothing written.
        ([], [], 0.0, 0.0, None, ()),
        # All of it, within what the two disagree about edges.
        ([(0.0, 4.3)], [(0.2, 4.0)], 4.3, 4.3, 1.0, ()),
        # A passage in the middle, at the end, and all of it.
        ([(0, 12)], [(0, 4), (8, 12)], 12.0, 8.6, 0.7167, ((4.3, 7.7),)),
        ([(0, 12)], [(0, 4)], 12.0, 4.3, 0.3583, ((4.3, 12.0),)),
        ([(0, 5), (7, 9)], [], 7.0, 0.0, 0.0, ((0.0, 5.0), (7.0, 9.0))),
        # A pause without text is no gap, and neither is half a second.
        ([(0, 4), (9, 12)], [(0, 4), (9, 12)], 7.0, 7.0, 1.0, ()),
        ([(0, 8)], [(0, 3.6), (4.6, 8)], 8.0, 7.6, 0.95, ()),
        # Text beyond the end of the recording covers nothing there.
        ([(0, 20)], [(0, 4), (19, 30), (31, 33)], 20.0, 5.6, 0.28, ((4.3, 18.7),)),
    ],
)
def test_speech_is_compared_with_segments(speech, times, speech_s, transcribed_s, share, gaps):
    coverage = report_coverage(spans(*speech), segments(*times), duration_s=20.0)

    assert coverage.speech_s == pytest.approx(speech_s)
    assert coverage.transcribed_s == pytest.approx(transcribed_s)
    assert coverage.share == share
    assert coverage.gaps == tuple(Gap(*gap) for gap in gaps)


def test_a_segment_without_text_covers_nothing_and_is_not_suspected():
    blank = replace(PLAIN, text="  ", compression_ratio=9.0)

    coverage = report_coverage(spans((0, 4)), [blank], duration_s=4.0)

    assert coverage == Coverage(4.0, 0.0, 0.0, (Gap(0.0, 4.0),), ())


@pytest.mark.parametrize(
    ("changes", "speech", "expected"),
    [
        ({}, [(0, 4)], []),
        # Nobody spoke: nothing was found, or only a blip.
        ({}, [], [("hallucination", "no_speech_found")]),
        ({"end": 10.0}, [(3.0, 3.6)], [("hallucination", "no_speech_found")]),
        # One spoken word in a segment that is stretched over a pause.
        ({"end": 30.0, "text": " Yes."}, [(28.0, 29.0)], []),
        # Whisper says silence, and is unsure of its words.
        (
            {"no_speech_prob": 0.7, "avg_logprob": -0.6},
            [(0, 1.5)],
            [("hallucination", "no_speech_prob")],
        ),
        ({"no_speech_prob": 0.7, "avg_logprob": -0.4}, [(0, 1.5)], []),
        ({"no_speech_prob": 0.5, "avg_logprob": -0.6}, [(0, 1.5)], []),
        ({"no_speech_prob": 0.7, "avg_logprob": -0.6}, [(0, 4)], []),
        # Still repeating itself at the last temperature.
        ({"compression_ratio": 2.5}, [(0, 4)], [("repetition_loop", "compression_ratio")]),
        ({"compression_ratio": 2.4}, [(0, 4)], []),
        # Faster than anybody speaks, slower than anybody goes on.
        ({"text": " word" * 41}, [(0, 4)], [("hallucination", "too_fast")]),
        ({"text": " word" * 39}, [(0, 4)], []),
        ({"text": " Yes.", "end": 9.0}, [(0, 9)], [("dropped_speech", "too_slow")]),
        ({"text": " Yes.", "end": 9.0}, [(0, 4.9)], []),
        ({"text": " Yes.", "end": 0.0}, [(0, 4)], []),
        # Unknown is not suspect.
        (
            {"no_speech_prob": None, "avg_logprob": None, "compression_ratio": None},
            [(0, 4)],
            [],
        ),
    ],
)
def test_each_sign_is_known_by_its_bound(changes, speech, expected):
    segment = replace(PLAIN, **changes)

    coverage = report_coverage(spans(*speech), [segment], duration_s=40.0)

    assert signs(coverage) == [(kind, reason, (0,)) for kind, reason in expected]


def test_scripts_without_blanks_have_a_rate_too():
    said = replace(PLAIN, text="これは私の声です、とても良い天気ですね")

    coverage = report_coverage(spans((0, 6)), [replace(said, end=6.0)], duration_s=6.0)

    assert coverage.suspicions == ()


@pytest.mark.parametrize(
    ("texts", "repeated"),
    [
        (["a", "b", "c"], ()),
        (["a", "a", "b"], ()),
        (["a", "b", "a", "b", "a"], ()),
        (["x", "a", "a", "a", "y"], (1, 2, 3)),
        (["a", " A.", "a!", "b"], (0, 1, 2)),
        (["a", "a", "", "a"], (0, 1, 3)),
        (["...", "...", "..."], (0, 1, 2)),
    ],
)
def test_the_same_text_three_times_running_is_a_loop(texts, repeated):
    said = [
        replace(PLAIN, id=i, start=2.0 * i, end=2.0 * i + 2, text=text)
        for i, text in enumerate(texts)
    ]

    coverage = report_coverage(spans((0, 20)), said, duration_s=20.0)

    loops = [s.segment_ids for s in coverage.suspicions if s.reason == "repeated_text"]
    assert loops == ([repeated] if repeated else [])


def test_neighbours_with_one_sign_are_one_suspicion_and_others_another():
    said = segments((0, 4), (4, 8), (8, 12), (12, 16))
    said[0] = replace(said[0], compression_ratio=3.0)
    said[1] = replace(said[1], compression_ratio=3.0)
    said[3] = replace(said[3], compression_ratio=3.0)

    coverage = report_coverage(spans((0, 16)), said, duration_s=16.0)

    assert coverage.suspicions == (
        Suspicion("repetition_loop", "compression_ratio", 0.0, 8.0, (0, 1)),
        Suspicion("repetition_loop", "compression_ratio", 12.0, 16.0, (3,)),
    )


LONG = 100.0


@pytest.mark.parametrize(
    ("gaps", "suspicions", "codes"),
    [
        ([], [], []),
        ([(0, 1.9)], [], []),
        ([(0, 2.1)], [], ["speech_not_transcribed"]),
        ([(0, 1.1), (5, 6.1)], [], ["speech_not_transcribed"]),
        ([], ["hallucination"], ["suspected_hallucination"]),
        ([], ["repetition_loop", "hallucination"], ["suspected_hallucination"]),
        ([], ["dropped_speech"], ["speech_not_transcribed"]),
        ([(0, 9)], ["hallucination"], ["speech_not_transcribed", "suspected_hallucination"]),
    ],
)
def test_the_reader_is_warned_of_what_matters(gaps, suspicions, codes):
    coverage = Coverage(
        speech_s=LONG,
        transcribed_s=LONG,
        share=1.0,
        gaps=tuple(Gap(*gap) for gap in gaps),
        suspicions=tuple(Suspicion(kind, "sign", 1.0, 2.0, (0,)) for kind in suspicions),
    )

    assert [warning.code for warning in warnings_of(coverage)] == codes


def test_a_short_recording_is_measured_by_its_share():
    coverage = Coverage(10.0, 8.8, 0.88, gaps=(Gap(3.0, 4.2),))

    [warning] = warnings_of(coverage)

    assert warning.message == "1.2 s of the 10.0 s of speech have no text (3.0-4.2 s)"


def test_a_warning_names_a_few_places_only():
    coverage = Coverage(LONG, 60.0, 0.6, tuple(Gap(10.0 * i, 10.0 * i + 4) for i in range(10)))

    [warning] = warnings_of(coverage)

    assert warning.message.endswith("(0.0-4.0 s, 10.0-14.0 s, 20.0-24.0 s, ...)")


def test_a_coverage_survives_the_way_through_json():
    coverage = report_coverage(spans((0, 30)), segments((20, 21)) * 3, duration_s=30.0)

    assert coverage.gaps
    assert coverage.suspicions
    assert coverage_from_dict(asdict(coverage)) == coverage
