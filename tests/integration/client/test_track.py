import pytest

from client.contract import job_from_json
from client.track import Track, format_bytes, format_span, summary_of, warnings_of


def job(**fields):
    return job_from_json({"job_id": "1", "status": "processing", "attempt": 1, **fields})


def test_the_time_left_runs_down_between_two_answers():
    track = Track("a.mp3")

    track.note_job(job(progress=0.5, time_left_s=30.0), now=100.0)

    assert track.time_left_s(110.0) == 20.0
    assert track.time_left_s(200.0) == 0.0


def test_the_bar_moves_on_by_the_estimate_but_never_to_the_end():
    track = Track("a.mp3")

    track.note_job(job(progress=0.5, time_left_s=30.0), now=100.0)

    assert track.share(100.0) == 0.5
    assert track.share(115.0) == pytest.approx(0.75)
    assert track.share(200.0) == 0.99


def test_the_bar_does_not_move_back_within_an_attempt():
    track = Track("a.mp3")
    track.note_job(job(progress=0.5, time_left_s=10.0), now=0.0)
    shown = track.share(5.0)

    track.note_job(job(progress=0.6, time_left_s=9.0), now=5.0)

    assert track.share(5.0) == shown == 0.75


def test_a_new_attempt_starts_the_bar_anew():
    track = Track("a.mp3")
    track.note_job(job(progress=0.8), now=0.0)
    track.share(0.0)

    track.note_job(job(progress=0.1, attempt=2), now=1.0)

    assert track.share(1.0) == 0.1


def test_an_upload_shows_its_share_speed_and_time_left():
    track = Track("a.mp3", size_bytes=10_000_000)
    track.note_sent(0, now=0.0)

    track.note_sent(4_000_000, now=2.0)

    assert track.share(2.0) == 0.4
    assert track.detail_words(2.0) == "2.0 MB/s"
    assert track.time_left_s(2.0) == 3.0


def test_a_complete_upload_is_being_checked():
    track = Track("a.mp3", size_bytes=10)
    track.note_sent(0, now=0.0)

    track.note_sent(10, now=9.0)

    assert track.state_words() == "checking"
    assert track.time_left_s(10.0) is None


def test_an_empty_file_has_no_share():
    track = Track("a.mp3", size_bytes=0)

    track.note_sent(0, now=0.0)

    assert track.share(1.0) == 0.0


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"status": "pending", "attempt": 0, "queue_position": 3}, "queued position 3"),
        (
            {"status": "pending", "current_step": "waiting_for_retry", "max_attempts": 5},
            "will retry attempt 2 of 5",
        ),
        ({"current_step": "decoding_audio"}, "decoding "),
        ({"current_step": "loading_model"}, "loading model "),
        (
            {"current_step": "transcribing", "progress": 0.5, "duration": 60, "time_left_s": 5},
            "transcribing 6.0x",
        ),
        ({"current_step": "a step of tomorrow"}, "working "),
        ({"current_step": None}, "working "),
    ],
)
def test_every_state_has_words(fields, words):
    track = Track("a.mp3")

    track.note_job(job(**fields), now=0.0)

    assert f"{track.state_words()} {track.detail_words(0.0)}" == words


def test_a_model_that_differs_is_told_although_no_fallback_is_listed():
    assert warnings_of(job(model_size="small", model_used="base")) == [
        "base was used instead of small"
    ]


def test_an_alias_is_no_other_model():
    assert warnings_of(job(model_size="large", model_used="large-v3")) == []


def test_a_move_to_the_processor_is_told_in_words():
    fallback = {"rung": "cpu", "stage": "decode", "from_model": "base", "to_model": "base"}

    assert warnings_of(job(fallbacks=[fallback])) == ["cpu, while the server worked with base"]


def test_a_job_without_any_facts_is_summed_up_as_done():
    assert summary_of(job()) == "done"


def test_times_that_cannot_be_compared_give_no_speed():
    mixed = job(
        status="completed",
        duration=60.0,
        started_at="2025-01-01T10:00:00",
        completed_at="2025-01-01T10:00:10+00:00",
    )

    assert mixed.speed is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3599.9, "1:00:00"), (3661, "1:01:01")]
)
def test_spans_round_once(seconds, text):
    assert format_span(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (99_990, "100 kB"), (2.5e12, "2500 GB")],
)
def test_sizes_have_three_digits_at_most(size, text):
    assert format_bytes(size) == text
