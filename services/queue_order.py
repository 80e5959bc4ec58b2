"""Which waiting job goes next: urgent before normal before retried, and clients in turns.

Within a rank, jobs stand in the order of their `turn`: the virtual time at which a fair
queue would start them (start-time fair queueing, Goyal, Vin and Cheng 1996). A job's turn is
where its client's last one ended, or the present where that is later; it ends 1/weight
further on. So a client with a thousand jobs and one with a single job alternate.
"""

from uuid import UUID

from sqlalchemy import ScalarSelect, Select, func, literal, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from config import QUEUE_HIGH, QUEUE_NORMAL, QUEUE_RETRY
from domain.lifecycle import JobStatus, Priority, Rank
from models import ClientTurn, TranscriptionJob

Job = TranscriptionJob

RANK_OF_QUEUE = {
    QUEUE_HIGH: Rank.HIGH,
    QUEUE_NORMAL: Rank.NORMAL,
    QUEUE_RETRY: Rank.RETRY,
}
ORDER = (Job.rank, Job.turn, Job.created_at, Job.id)
POSITION_LIMIT = 1_000  # counting further would cost every look as much as the queue is long


def is_ready() -> tuple[ColumnElement[bool], ...]:
    """The conditions of a job that could start now; the index ix_jobs_next holds these jobs."""
    return (Job.status == JobStatus.PENDING, Job.next_attempt_at.is_(None))


def best_waiting(rank: Rank) -> Select[UUID]:
    """The id of the job that goes next among those up to `rank`, locked, skipping locked ones.

    Up to HIGH means urgent ones only: a job that merely grew old does not take the slot that
    is kept for them.
    """
    query: Select[UUID] = (
        select(Job.id)
        .where(*is_ready(), Job.rank <= rank, Job.attempt < Job.max_attempts)
        .order_by(*ORDER)
        .limit(1)
        # Not FOR UPDATE: that would also skip a job whose history is being written.
        .with_for_update(skip_locked=True, key_share=True)
    )
    return query.where(Job.priority == Priority.HIGH) if rank is Rank.HIGH else query


def take_turn(session: Session, client: str, rank: Rank, weight: float) -> float:
    """The turn of a client's next job in this rank; moves the client on by 1/weight.

    To be called in a transaction of its own.
    """
    step = 1.0 / weight
    now = present(rank)
    turn = session.scalar(
        insert(ClientTurn)
        .values(client=client, rank=rank, turn=now + step)
        .on_conflict_do_update(
            index_elements=["client", "rank"],
            set_={
                "turn": func.greatest(ClientTurn.turn, now) + step,
                "updated_at": func.now(),
            },
        )
        # A turn that is lost in a crash of Postgres is no loss: no waiting for the disk.
        .returning(
            ClientTurn.turn - step,
            func.set_config("synchronous_commit", "off", literal(True)),
        )
    )
    return float(turn or 0.0)


def present(rank: Rank) -> ColumnElement[float]:
    """The virtual time of a rank: the turn that is served now.

    With nobody waiting it is the end of the last turn given away, so that a newcomer does
    not get all the turns that others took before it came.
    """
    served = _scalar(
        select(Job.turn).where(*is_ready(), Job.rank == rank).order_by(Job.turn).limit(1)
    )
    given = _scalar(
        select(ClientTurn.turn)
        .where(ClientTurn.rank == rank)
        .order_by(ClientTurn.turn.desc())
        .limit(1)
    )
    return func.coalesce(served, given, literal(0.0))


def count_ahead(session: Session, job: TranscriptionJob) -> int:
    """How many jobs would start before this one; counted up to POSITION_LIMIT."""
    mine = (job.rank, job.turn, job.created_at, job.id)
    ahead = (
        select(Job.id)
        .where(*is_ready(), tuple_(*ORDER) < tuple_(*mine))
        .limit(POSITION_LIMIT)
        .subquery()
    )
    return session.scalar(select(func.count()).select_from(ahead)) or 0


def _scalar(query: Select[float]) -> ScalarSelect[float]:
    return query.scalar_subquery()
