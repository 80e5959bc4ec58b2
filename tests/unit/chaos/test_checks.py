"""Each check passes over a good run and fails over the one defect that it is for."""

from dataclasses import replace

import pytest

from chaos import checks
from chaos.faults import FaultKind
from tests.unit.chaos.builders import (
    COMPLETED,
    COMPLETED_AGAIN,
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

ACCEPTED = (job_id(1),)
TEXTS = {"speech00": "It was the best."}
FAULTS = [make_fault(number=number, kind=kind, at=0.5) for number, kind in enumerate(FaultKind, 1)]


def failed(ledger, *, accepted=ACCEPTED, texts=TEXTS, faults=FAULTS):
    """The names of the checks that fail."""
    found = checks.check_all(ledger, accepted=accepted, expected_texts=texts, faults=faults)
    return {check.name for check in found if not check.is_ok}


def test_a_good_run_passes_every_check():
    assert failed(make_ledger()) == set()


def test_a_job_that_took_two_attempts_passes_too():
    ledger = make_ledger(
        [make_job(attempt=2, lease_token=3)],
        [make_result(attempt=2, lease_token=3)],
        make_events(1, SUBMITTED, STARTED, REAPED, STARTED_AGAIN, COMPLETED_AGAIN),
    )

    assert failed(ledger) == set()


def test_a_start_that_was_handed_back_costs_no_attempt():
    released = ("released", "pending", 0)
    ledger = make_ledger(events=make_events(1, SUBMITTED, STARTED, released, STARTED, COMPLETED))

    assert failed(ledger) == set()


@pytest.mark.parametrize("accepted", [(), (job_id(1), job_id(2))])
def test_an_accepted_job_that_is_not_there_is_found(accepted):
    assert failed(make_ledger(), accepted=accepted) == {"every accepted job exists"}


@pytest.mark.parametrize("status", ["pending", "processing", "failed", "cancelled"])
def test_a_job_that_is_not_completed_is_found(status):
    ledger = make_ledger([make_job(status=status)])

    assert "every job completed" in failed(ledger)


@pytest.mark.parametrize("results", [[], [make_result(), make_result()]])
def test_a_job_without_exactly_one_result_is_found(results):
    assert failed(make_ledger(results=results)) == {"exactly one result each"}


@pytest.mark.parametrize("stale", [{"lease_token": 0}, {"attempt": 0}])
def test_a_result_of_a_fenced_attempt_is_found(stale):
    ledger = make_ledger(results=[make_result(**stale)])

    assert failed(ledger) == {"no result of a fenced attempt"}


def test_too_many_attempts_in_the_row_are_found():
    ledger = make_ledger([make_job(attempt=6, lease_token=1)], [make_result(attempt=6)])

    assert "no attempt over its limit" in failed(ledger)


def test_too_many_attempts_in_the_history_are_found():
    ledger = make_ledger(events=make_events(1, SUBMITTED, STARTED, ("completed", "completed", 6)))

    assert failed(ledger) == {"no attempt over its limit"}


def test_a_start_that_no_attempt_counts_is_found():
    events = make_events(1, SUBMITTED, STARTED, REAPED, STARTED, COMPLETED)

    assert failed(make_ledger(events=events)) == {"attempts equal the starts in the history"}


def test_a_job_that_was_completed_twice_is_found():
    events = make_events(1, SUBMITTED, STARTED, COMPLETED, COMPLETED)

    assert "completed exactly once" in failed(make_ledger(events=events))


@pytest.mark.parametrize(
    "steps",
    [
        (STARTED, COMPLETED),
        (SUBMITTED, COMPLETED),
        (SUBMITTED, STARTED, COMPLETED, REAPED),
        (SUBMITTED, STARTED, STARTED_AGAIN, COMPLETED),
        (SUBMITTED, STARTED, REAPED),
        (),
    ],
    ids=[
        "no submission",
        "completed while it waited",
        "taken back after its end",
        "started while it ran",
        "ends otherwise than its row",
        "nothing at all",
    ],
)
def test_an_illegal_history_is_found(steps):
    ledger = make_ledger(events=make_events(1, *steps))

    assert "every history follows the table of states" in failed(ledger, faults=[])


def test_a_remark_may_leave_the_status_as_it_is():
    remark = ("resumed", "processing", 1)
    ledger = make_ledger(events=make_events(1, SUBMITTED, STARTED, remark, COMPLETED))

    assert failed(ledger) == set()


@pytest.mark.parametrize(
    ("said", "texts"),
    [
        ("It was the worst.", TEXTS),
        ("It was the best.", {}),
        ("", {"speech00": ""}),
    ],
    ids=["another text", "nothing to compare with", "silence on both sides"],
)
def test_a_text_that_is_not_the_undisturbed_one_is_found(said, texts):
    ledger = make_ledger(results=[make_result(text=said)])

    assert failed(ledger, texts=texts) == {"texts equal those of an undisturbed run"}


def test_texts_without_an_undisturbed_run_are_found():
    assert not checks.texts_are_undisturbed(make_ledger(results=[]), {}).is_ok


@pytest.mark.parametrize("missing", FaultKind)
def test_a_kind_of_fault_that_did_not_happen_is_found(missing):
    faults = [fault for fault in FAULTS if fault.kind is not missing]

    assert failed(make_ledger(), faults=faults) == {"faults of every kind"}


@pytest.mark.parametrize(
    "change",
    [{"at": 100.0}, {"hit": (job_id(9),)}],
    ids=["nothing happened after it", "a job that was hit never started again"],
)
def test_a_fault_without_a_recovery_is_found(change):
    faults = [*FAULTS[1:], replace(FAULTS[0], **change)]

    assert failed(make_ledger(), faults=faults) == {"work went on after every fault"}


def test_a_recovery_that_took_far_too_long_is_found():
    late = make_events(2, SUBMITTED, STARTED, start=checks.MAX_RECOVERY_S)
    fault = make_fault(at=0.5)
    ledger = make_ledger(events=[event for event in late if event.event == "started"])

    check = checks.work_went_on_after_every_fault(ledger, [fault])

    assert check.offenders == ("fault 1, kill -9 prefork child",)


def test_a_failed_check_names_the_first_offenders_in_one_line():
    check = checks.Check("every job completed", tuple("abcdefg"))

    assert check.line() == "FAILED  every job completed: a; b; c; d; e; and 2 more"
    assert checks.Check("every job completed").line() == "ok      every job completed"
