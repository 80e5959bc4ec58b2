"""What the database says of the jobs, and what follows from it. Pure: rows come in as values."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple
from uuid import UUID

from chaos.faults import Fault

PROGRESS = frozenset({"started", "completed"})  # events that show that work goes on


class Event(NamedTuple):
    """A line of job_events. `at` is in seconds since the epoch."""

    id: int
    job_id: UUID
    event: str
    status: str  # after it
    attempt: int
    actor: str
    at: float


class Job(NamedTuple):
    """A line of transcription_jobs, as far as the checks need it."""

    id: UUID
    filename: str
    status: str
    attempt: int
    max_attempts: int
    lease_token: int
    error_type: str | None = None


class Result(NamedTuple):
    """A line of transcription_results."""

    job_id: UUID
    attempt: int
    lease_token: int
    text: str


@dataclass(frozen=True)
class Ledger:
    """All that the checks look at."""

    jobs: Sequence[Job]
    results: Sequence[Result]
    events: Sequence[Event]  # in the order of their ids

    def events_by_job(self) -> dict[UUID, list[Event]]:
        """The history of each job, in order."""
        in_order = sorted(self.events, key=lambda event: (event.job_id.int, event.id))
        return {
            job_id: list(events) for job_id, events in groupby(in_order, lambda event: event.job_id)
        }


@dataclass(frozen=True)
class Recovery:
    """Seconds from a fault until things went on; None where they did not."""

    work_s: float | None  # until any job started or completed
    start_s: float | None  # until any job started: message, claim and all
    hit_s: float | None  # until the last of the jobs that were hit had started again or ended
    hit: int  # how many jobs were hit

    @property
    def is_complete(self) -> bool:
        """Whether all went on."""
        return self.start_s is not None and (not self.hit or self.hit_s is not None)

    @property
    def longest_s(self) -> float:
        """The longest of what is known."""
        return max(self.start_s or 0.0, self.hit_s or 0.0)


def recovery(fault: Fault, events: Sequence[Event]) -> Recovery:
    """How long it took after this fault."""
    after = sorted(
        (event for event in events if event.event in PROGRESS and event.at > fault.at),
        key=lambda event: event.at,
    )
    first_of: dict[UUID, float] = {}
    for event in after:
        first_of.setdefault(event.job_id, event.at)
    hit_at = [first_of[job_id] for job_id in fault.hit if job_id in first_of]
    is_whole = bool(hit_at) and len(hit_at) == len(fault.hit)
    return Recovery(
        work_s=next((event.at - fault.at for event in after), None),
        start_s=next((event.at - fault.at for event in after if event.event == "started"), None),
        hit_s=max(hit_at) - fault.at if is_whole else None,
        hit=len(fault.hit),
    )


def count_events(events: Iterable[Event], name: str) -> Counter[UUID]:
    """How often an event stands in the history of each job."""
    return Counter(event.job_id for event in events if event.event == name)


def attempts_histogram(events: Iterable[Event]) -> dict[int, int]:
    """How many jobs were started once, twice and so on."""
    return dict(sorted(Counter(count_events(events, "started").values()).items()))


def cut_name(filename: str) -> str:
    """Which recording a job's file name says it is: `speech03` of `speech03-017-high.wav`."""
    return filename.partition("-")[0].removesuffix(".wav")


def texts_of(ledger: Ledger) -> dict[str, str]:
    """The transcript of each recording, by its name; the jobs are to be one for each."""
    names = {job.id: cut_name(job.filename) for job in ledger.jobs}
    return {names[result.job_id]: result.text for result in ledger.results}


def is_over(statuses: Mapping[str, int]) -> bool:
    """Whether no job waits or runs any more, given the number of jobs in each status."""
    return not statuses.get("pending") and not statuses.get("processing")
