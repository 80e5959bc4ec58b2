import pytest

from chaos.history import Recovery, attempts_histogram, cut_name, is_over, recovery, texts_of
from tests.unit.chaos.builders import (
    COMPLETED,
    REAPED,
    STARTED,
    STARTED_AGAIN,
    SUBMITTED,
    job_id,
    make_events,
    make_fault,
    make_job,
    make_ledger,
    make_result,
)


def test_work_goes_on_with_the_first_event_after_the_fault_and_starts_with_the_first_start():
    events = [
        *make_events(1, SUBMITTED, STARTED, COMPLETED, start=8.5),  # completed at 10.5
        *make_events(2, SUBMITTED, STARTED, start=11.0),  # started at 12
    ]

    after = recovery(make_fault(at=10.0), events)

    assert after == Recovery(work_s=0.5, start_s=2.0, hit_s=None, hit=0)
    assert after.is_complete


def test_jobs_that_were_hit_are_timed_to_the_last_one_that_went_on():
    events = [
        *make_events(1, SUBMITTED, STARTED, REAPED, STARTED_AGAIN, start=9.0),  # again at 12
        *make_events(2, SUBMITTED, STARTED, REAPED, STARTED_AGAIN, start=9.5),  # again at 12.5
        *make_events(3, SUBMITTED, STARTED, start=10.0),
    ]
    events = [event for event in events if event.at != 10.5]

    after = recovery(make_fault(at=10.0, hit=(job_id(1), job_id(2))), events)

    assert after == Recovery(work_s=1.0, start_s=1.0, hit_s=2.5, hit=2)


def test_a_recovery_lacks_a_job_that_was_hit_and_never_started_again():
    events = [
        *make_events(1, SUBMITTED, STARTED, REAPED, start=9.0),
        *make_events(2, SUBMITTED, STARTED, COMPLETED, start=10.5),
    ]

    after = recovery(make_fault(at=10.2, hit=(job_id(1),)), events)

    assert after.hit_s is None
    assert not after.is_complete


def test_nothing_after_the_fault_is_no_recovery():
    after = recovery(make_fault(at=10.0), make_events(1, SUBMITTED, STARTED, COMPLETED))

    assert after == Recovery(work_s=None, start_s=None, hit_s=None, hit=0)
    assert not after.is_complete


def test_starts_are_counted_from_the_history():
    events = [
        *make_events(1, SUBMITTED, STARTED, REAPED, STARTED_AGAIN),
        *make_events(2, SUBMITTED, STARTED, COMPLETED),
        *make_events(3, SUBMITTED, STARTED, COMPLETED),
    ]

    assert attempts_histogram(events) == {1: 2, 2: 1}


def test_the_history_of_each_job_comes_out_in_its_order():
    first, second = make_events(1, SUBMITTED, STARTED), make_events(2, SUBMITTED)

    histories = make_ledger(events=[first[1], second[0], first[0]]).events_by_job()

    assert histories == {job_id(1): first, job_id(2): second}


def test_the_texts_of_the_undisturbed_run_stand_under_their_recordings():
    jobs = [make_job(1, filename="speech00.wav"), make_job(2, filename="speech01.wav")]
    ledger = make_ledger(jobs, [make_result(1, text="one"), make_result(2, text="two")])

    assert texts_of(ledger) == {"speech00": "one", "speech01": "two"}


def test_a_file_name_tells_the_recording():
    assert cut_name("speech03-0017.wav") == cut_name("speech03.wav") == "speech03"


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [({"completed": 3, "failed": 1}, True), ({"pending": 1}, False), ({"processing": 2}, False)],
)
def test_a_run_is_over_when_nothing_waits_or_runs(statuses, expected):
    assert is_over(statuses) is expected
