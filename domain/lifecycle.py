"""The states of a job and the ways between them."""

from enum import IntEnum, StrEnum


class JobStatus(StrEnum):
    """The five states that the owner named."""

    PENDING = "pending"  # waiting for a worker, or for its next attempt
    PROCESSING = "processing"  # leased to one worker
    COMPLETED = "completed"
    FAILED = "failed"  # given up; see ErrorLog
    CANCELLED = "cancelled"


TRANSITIONS: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.PENDING: frozenset({JobStatus.PROCESSING, JobStatus.CANCELLED}),
    JobStatus.PROCESSING: frozenset(
        {JobStatus.PENDING, JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED}
    ),
    JobStatus.COMPLETED: frozenset(),
    JobStatus.FAILED: frozenset({JobStatus.PENDING}),  # an operator retries
    JobStatus.CANCELLED: frozenset(),
}

TERMINAL = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED})


class Priority(IntEnum):
    """Lower runs first, so that an index in ascending order is the queue's order."""

    HIGH = 0
    NORMAL = 1

    @property
    def label(self) -> str:
        """The word that the API uses."""
        return self.name.lower()


class Rank(IntEnum):
    """Where a waiting job stands: every job of a lower rank starts before any of a higher one.

    It follows from priority and history: a job that failed before stands behind those that
    never ran, unless it is urgent.
    """

    HIGH = 0
    NORMAL = 1
    RETRY = 2


def rank_of(priority: int, attempt: int) -> Rank:
    """The rank of a waiting job with `attempt` attempts behind it."""
    if priority == Priority.HIGH:
        return Rank.HIGH
    return Rank.RETRY if attempt > 0 else Rank.NORMAL


class Step(StrEnum):
    """What a job is doing right now, for people to read (`current_step`)."""

    QUEUED = "queued"
    WAITING_FOR_RETRY = "waiting_for_retry"
    DECODING_AUDIO = "decoding_audio"
    LOADING_MODEL = "loading_model"
    TRANSCRIBING = "transcribing"
    SAVING = "saving"
    DONE = "done"
