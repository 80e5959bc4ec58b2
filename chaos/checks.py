"""The promises, each as a check over what the database holds after the attack."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from uuid import UUID

from chaos.faults import Fault, FaultKind
from chaos.history import Event, Job, Ledger, count_events, cut_name, recovery
from domain.lifecycle import TRANSITIONS, JobStatus

MAX_OFFENDERS = 5  # named in a line
MAX_RECOVERY_S = 90.0  # many leases: what takes longer was forgotten, and found by chance


@dataclass(frozen=True)
class Check:
    """One promise, and whether it was kept."""

    name: str
    offenders: tuple[str, ...] = ()  # what speaks against it

    @property
    def is_ok(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.offenders

    def line(self) -> str:
        """The check in one line, with the first offenders."""
        if self.is_ok:
            return f"ok      {self.name}"
        shown = "; ".join(self.offenders[:MAX_OFFENDERS])
        more = len(self.offenders) - MAX_OFFENDERS
        return f"FAILED  {self.name}: {shown}{f'; and {more} more' if more > 0 else ''}"


def check_all(
    ledger: Ledger,
    *,
    accepted: Collection[UUID],
    expected_texts: Mapping[str, str],
    faults: Sequence[Fault],
) -> list[Check]:
    """Every check. `accepted` are the jobs that the API confirmed, `expected_texts` the
    transcripts of an undisturbed run by the name of the recording.
    """
    return [
        every_accepted_job_is_there(ledger, accepted),
        every_job_is_completed(ledger),
        one_result_each(ledger),
        no_result_of_a_fenced_attempt(ledger),
        no_attempt_over_its_limit(ledger),
        attempts_are_starts(ledger),
        completed_once(ledger),
        histories_are_legal(ledger),
        texts_are_undisturbed(ledger, expected_texts),
        faults_of_every_kind(faults),
        work_went_on_after_every_fault(ledger, faults),
    ]


def every_accepted_job_is_there(ledger: Ledger, accepted: Collection[UUID]) -> Check:
    """A job that was answered with 202 exists."""
    lost = set(accepted) - {job.id for job in ledger.jobs}
    nothing = () if accepted else ("nothing was accepted",)
    return Check("every accepted job exists", (*nothing, *sorted(map(str, lost))))


def every_job_is_completed(ledger: Ledger) -> Check:
    """No job waits, failed or was cancelled."""
    return Check(
        "every job completed",
        tuple(
            f"{job.id} is {job.status} ({job.error_type or 'no error'})"
            for job in ledger.jobs
            if job.status != JobStatus.COMPLETED
        ),
    )


def one_result_each(ledger: Ledger) -> Check:
    """Every job has exactly one row in transcription_results."""
    counts = Counter(result.job_id for result in ledger.results)
    return Check(
        "exactly one result each",
        tuple(
            f"{job.id} has {counts[job.id]} results" for job in ledger.jobs if counts[job.id] != 1
        ),
    )


def no_result_of_a_fenced_attempt(ledger: Ledger) -> Check:
    """The result is of the attempt and the lease that the job ended with."""
    jobs = {job.id: job for job in ledger.jobs}
    return Check(
        "no result of a fenced attempt",
        tuple(
            f"{result.job_id}: result of attempt {result.attempt}, lease {result.lease_token}; "
            f"job has {job.attempt} and {job.lease_token}"
            for result in ledger.results
            if (job := jobs.get(result.job_id)) is not None
            and (result.attempt, result.lease_token) != (job.attempt, job.lease_token)
        ),
    )


def no_attempt_over_its_limit(ledger: Ledger) -> Check:
    """No job was tried more often than allowed, by its row or by its history."""
    most: dict[UUID, int] = {}
    for event in ledger.events:
        most[event.job_id] = max(event.attempt, most.get(event.job_id, 0))
    return Check(
        "no attempt over its limit",
        tuple(
            f"{job.id}: attempt {max(job.attempt, most.get(job.id, 0))} of {job.max_attempts}"
            for job in ledger.jobs
            if max(job.attempt, most.get(job.id, 0)) > job.max_attempts
        ),
    )


def attempts_are_starts(ledger: Ledger) -> Check:
    """Every start counts as an attempt, except where the job was handed back."""
    starts = count_events(ledger.events, "started")
    released = count_events(ledger.events, "released")
    return Check(
        "attempts equal the starts in the history",
        tuple(
            f"{job.id}: attempt {job.attempt}, {starts[job.id]} starts, {released[job.id]} released"
            for job in ledger.jobs
            if job.attempt != starts[job.id] - released[job.id]
        ),
    )


def completed_once(ledger: Ledger) -> Check:
    """No job was completed twice."""
    counts = count_events(ledger.events, "completed")
    return Check(
        "completed exactly once",
        tuple(
            f"{job.id} completed {counts[job.id]} times"
            for job in ledger.jobs
            if counts[job.id] != 1
        ),
    )


def histories_are_legal(ledger: Ledger) -> Check:
    """Every history begins with the submission and follows domain.lifecycle.TRANSITIONS."""
    histories = ledger.events_by_job()
    found = (offence for job in ledger.jobs for offence in _offences(job, histories))
    return Check("every history follows the table of states", tuple(found))


def _offences(job: Job, histories: Mapping[UUID, Sequence[Event]]) -> Iterator[str]:
    events = histories.get(job.id, ())
    if not events or (events[0].event, events[0].status) != ("submitted", JobStatus.PENDING):
        yield f"{job.id} does not begin with its submission"
        return
    for before, after in pairwise(events):
        if not _is_legal(before, after):
            yield f"{job.id}: {before.status}, then {after.event} to {after.status}"
    if events[-1].status != job.status:
        yield f"{job.id} is {job.status}, its history ends {events[-1].status}"


def _is_legal(before: Event, after: Event) -> bool:
    if before.status != after.status:
        return JobStatus(after.status) in TRANSITIONS[JobStatus(before.status)]
    # A remark on a job may leave its status alone; to start or to end it may not.
    return after.event not in ("started", "completed")


def texts_are_undisturbed(ledger: Ledger, expected: Mapping[str, str]) -> Check:
    """Every transcript is, letter for letter, that of a run without faults."""
    names = {job.id: cut_name(job.filename) for job in ledger.jobs}
    wrong = (
        f"{result.job_id} ({names[result.job_id]}): {result.text!r}"
        for result in ledger.results
        if result.job_id in names and result.text != expected.get(names[result.job_id])
    )
    nothing = () if expected else ("there is no undisturbed run to compare with",)
    silent = (f"{name} has no words" for name, text in expected.items() if not text.strip())
    return Check("texts equal those of an undisturbed run", (*nothing, *wrong, *silent))


def faults_of_every_kind(faults: Iterable[Fault]) -> Check:
    """Each kind of fault happened."""
    seen = {fault.kind for fault in faults}
    return Check(
        "faults of every kind", tuple(f"no {kind.value}" for kind in FaultKind if kind not in seen)
    )


def work_went_on_after_every_fault(ledger: Ledger, faults: Iterable[Fault]) -> Check:
    """After each fault jobs were started again within MAX_RECOVERY_S, those hit among them."""
    found = ((fault, recovery(fault, ledger.events)) for fault in faults)
    return Check(
        "work went on after every fault",
        tuple(
            f"fault {fault.number}, {fault.kind.value}"
            for fault, after in found
            if not after.is_complete or after.longest_s > MAX_RECOVERY_S
        ),
    )
