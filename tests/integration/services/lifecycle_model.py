"""What the job core must do, as plain Python: the model that the state machine compares it with."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from domain.lifecycle import JobStatus, Priority, Rank, rank_of
from domain.windows import Window
from services.attempts import Claim
from services.dispatch import RANK_OF_QUEUE

PENDING, PROCESSING = JobStatus.PENDING, JobStatus.PROCESSING
COMPLETED, FAILED, CANCELLED = JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED


@dataclass
class Job:
    """One job as it has to stand in the database."""

    client: str
    priority: Priority
    rank: Rank
    turn: float
    order: int  # of submission
    max_attempts: int
    status: JobStatus = PENDING
    attempt: int = 0
    token: int = 0
    owner: str | None = None
    result_token: int | None = None
    is_cancel_requested: bool = False
    is_delayed: bool = False  # waits for the date of its next attempt
    windows: list[int] = field(default_factory=list)
    events: list[str] = field(default_factory=lambda: ["submitted"])
    rings: list[str] = field(default_factory=list)  # queues, since it last began to wait
    # What the tests did to its dates
    is_due: bool = False
    is_lapsed: bool = False
    is_old: bool = False
    is_disobeyed: bool = False  # a cancel was asked for long ago
    is_fresh: bool = False  # its claim was the last thing written

    @property
    def is_ready(self) -> bool:
        """Whether it could start now."""
        return self.status is PENDING and not self.is_delayed

    @property
    def is_heard_of(self) -> bool:
        """Whether a message that was sent lets a worker take it."""
        return any(self._reaches(queue) for queue in self.rings)

    def _reaches(self, queue: str) -> bool:
        rank = RANK_OF_QUEUE[queue]
        return self.rank <= rank and (rank is not Rank.HIGH or self.priority is Priority.HIGH)

    def is_held_by(self, claim: Claim) -> bool:
        """Whether this claim may still write."""
        mine = (self.status, self.token, self.owner)
        return mine == (PROCESSING, claim.lease_token, claim.worker)

    def start(self, worker: str) -> None:
        """A worker takes it."""
        self.status, self.owner = PROCESSING, worker
        self.attempt += 1
        self.token += 1
        self.is_fresh, self.is_lapsed = True, False
        self.events.append("started")

    def unstart(self) -> None:
        """Postgres crashed and forgot that a worker took it."""
        self.status, self.owner = PENDING, None
        self.attempt -= 1
        self.token -= 1
        self.is_fresh = self.is_lapsed = False
        self.events.pop()

    def keep(self, windows: Sequence[Window]) -> None:
        """A worker saves windows; they replace those of their numbers and all later ones."""
        if not windows:
            return
        numbers = [window.number for window in windows]
        if self.windows[numbers[0] :]:
            self.events.append("restarted")
        self.windows = self.windows[: numbers[0]] + numbers

    def wait(self, event: str) -> None:
        """It goes back to the queue."""
        self.status, self.owner = PENDING, None
        self.is_fresh = self.is_lapsed = self.is_old = False
        self.rings = []
        self.events.append(event)

    def wait_for_retry(self, event: str) -> None:
        """It goes back to the queue after a failure, with a date."""
        self.wait(event)
        self.rank = rank_of(self.priority, self.attempt)
        self.is_delayed, self.is_due = True, False

    def come_due(self) -> None:
        """It waits like the others again, if its date has come."""
        if self.is_due:
            self.is_delayed = self.is_due = self.is_old = False
            self.rings = []

    def finish(self, status: JobStatus, event: str) -> None:
        """It reaches an end."""
        self.status, self.owner = status, None
        self.is_delayed = self.is_due = self.is_fresh = self.is_lapsed = False
        self.events.append(event)


class Queue:
    """All jobs, and the clock of the fair queue."""

    def __init__(self, weights: dict[str, float]) -> None:
        self.jobs: dict[UUID, Job] = {}
        self.finishes: dict[tuple[str, Rank], float] = {}
        self._weights = weights
        self._count = 0

    def add(self, job_id: UUID, client: str, priority: Priority, max_attempts: int) -> Job:
        """A submitted job takes its turn."""
        rank = rank_of(priority, 0)
        self._count += 1
        turn = self.take_turn(client, rank)
        job = Job(client, priority, rank, turn, self._count, max_attempts)
        self.jobs[job_id] = job
        return job

    def take_turn(self, client: str, rank: Rank) -> float:
        """The turn of the client's next job of this rank."""
        step = 1.0 / self._weights.get(client, 1.0)
        key = (client, rank)
        start = max(self.finishes.get(key, float("-inf")), self.present(rank))
        self.finishes[key] = start + step
        return self.finishes[key] - step

    def present(self, rank: Rank) -> float:
        """The turn that is served now."""
        waiting = [job.turn for job in self.ready() if job.rank == rank]
        given = [turn for (_, of), turn in self.finishes.items() if of == rank]
        return min(waiting) if waiting else max(given, default=0.0)

    def best(self, rank: Rank) -> UUID | None:
        """The job that a message of this rank's queue has to start."""
        able = [
            (job.rank, job.turn, job.order, job_id)
            for job_id, job in self.jobs.items()
            if job.is_ready
            and job.rank <= rank
            and (rank is not Rank.HIGH or job.priority is Priority.HIGH)
            and job.attempt < job.max_attempts
        ]
        return min(able, key=lambda place: place[:3])[3] if able else None

    def of_status(self, *statuses: JobStatus) -> list[Job]:
        """The jobs that stand so."""
        return [job for job in self.jobs.values() if job.status in statuses]

    def ready(self) -> list[Job]:
        """The jobs that could start now."""
        return [job for job in self.jobs.values() if job.is_ready]
