"""Jobs in the words of Dalston's native API."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from formats.doors.native import NativeJob, display_name, render_job, status_word
from tests.unit.formats.transcripts import make_transcript

BEGIN = datetime(2026, 1, 31, 12, tzinfo=UTC)


def make_job(**fields):
    everything = dict.fromkeys(NativeJob.__dataclass_fields__)
    return NativeJob(
        **{
            **everything,
            "job_id": uuid4(),
            "status": "completed",
            "created_at": BEGIN,
            "model": "tiny",
            "progress": 0.5,
            "current_step": "done",
            "cancel_requested": False,
            "door_fields": {},
            "kept_days": 30,
            **fields,
        }
    )


@pytest.mark.parametrize(
    ("status", "is_cancel_requested", "word"),
    [
        ("pending", False, "pending"),
        ("processing", False, "running"),
        ("processing", True, "cancelling"),
        ("completed", True, "completed"),
        ("cancelled", True, "cancelled"),
        ("failed", False, "failed"),
    ],
)
def test_each_status_has_its_word(status, is_cancel_requested, word):
    assert status_word(status, is_cancel_requested=is_cancel_requested) == word


def test_a_job_is_called_as_its_owner_does_or_as_its_file_or_by_its_id():
    job_id = uuid4()

    names = [display_name("n", "f.wav", job_id), display_name(None, "f.wav", job_id)]

    assert [*names, display_name(None, None, job_id)] == ["n", "f.wav", str(job_id)]


def test_a_job_without_a_transcript_has_every_field_all_the_same():
    without, with_it = render_job(make_job(), None), render_job(make_job(), make_transcript())

    assert without.keys() == with_it.keys()
    assert (without["text"], without["segments"], without["progress"]) == (None, None, 50)


def test_the_wait_is_the_time_before_the_attempt():
    started = make_job(started_at=BEGIN + timedelta(seconds=1.5))

    assert render_job(started, None)["total_wait_ms"] == 1500
    assert render_job(make_job(), None)["total_wait_ms"] is None


def test_a_job_that_is_kept_for_ever_has_no_end():
    ended = BEGIN + timedelta(hours=1)

    kept = render_job(make_job(kept_days=0, completed_at=ended), None)["retention"]
    short = render_job(make_job(kept_days=2, completed_at=ended), None)["retention"]
    open_ = render_job(make_job(kept_days=2), None)["retention"]

    assert (kept["mode"], kept["hours"], kept["purge_after"]) == ("keep", None, None)
    assert (short["mode"], short["hours"]) == ("auto_delete", 48)
    assert short["purge_after"] == ended + timedelta(days=2)
    assert open_["purge_after"] is None
