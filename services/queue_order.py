"""Which waiting job goes next: urgent before normal before retried, and clients in turns.

Within a rank, jobs stand in the order of their `turn`: the virtual time at which a fair
queue would start them (start-time fair queueing, Goyal, Vin and Cheng 1996). A job's turn is
where its client's last one ended, or the present where that is later; it ends 1/weight
further on. So a client with a thousand jobs and one with a single job alternate.
"""

from functools import partial
from typing import Any

from sqlalchemy import Executable, Select, Text, func, literal, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from domain.lifecycle import JobStatus, Priority, Rank
from models import ClientTurn, TranscriptionJob
from services.prepared import RELAX, Parameters, Prepared

Job = TranscriptionJob
jobs: Any = TranscriptionJob.__table__
turns: Any = ClientTurn.__table__

ORDER = (Job.rank, Job.turn, Job.created_at, Job.id)
POSITION_LIMIT = 1_000  # counting further would cost every look as much as the queue is long


def is_ready() -> tuple[ColumnElement[bool], ...]:
    """The conditions of a job that could start now; the index ix_jobs_next holds these jobs."""
    return (Job.status == JobStatus.PENDING, Job.next_attempt_at.is_(None))


def best_waiting(rank: ColumnElement[int], *, is_high_only: bool) -> Select[Any]:
    """The id of the job that goes next among those up to `rank`, locked, skipping locked ones.

    High only means jobs that were asked to be urgent: one that merely grew old does not take
    the slot that is kept for them.
    """
    query = (
        select(jobs.c.id)
        .where(
            jobs.c.status == JobStatus.PENDING.value,
            jobs.c.next_attempt_at.is_(None),
            jobs.c.rank <= rank,
            jobs.c.attempt < jobs.c.max_attempts,
        )
        .order_by(jobs.c.rank, jobs.c.turn, jobs.c.created_at, jobs.c.id)
        .limit(1)
        # Not FOR UPDATE: that would also skip a job whose history is being written.
        .with_for_update(skip_locked=True, key_share=True)
    )
    return query.where(jobs.c.priority == Priority.HIGH) if is_high_only else query


def take_turn(session: Session, client: str, rank: Rank, weight: float) -> float:
    """The turn of a client's next job in this rank; moves the client on by 1/weight.

    To be called in a transaction of its own: one that is lost in a crash of Postgres is no
    loss, so it does not wait for the disk.
    """
    given = {"client": client, "step": 1.0 / weight}
    return float(TURN_IN[rank].run(session, given).scalar_one())


def present(rank: Rank) -> ColumnElement[float]:
    """The virtual time of a rank: the turn that is served now.

    With nobody waiting it is the end of the last turn given away, so that a newcomer does
    not get all the turns that others took before it came.
    """
    served = (
        select(jobs.c.turn)
        .where(
            jobs.c.status == JobStatus.PENDING.value,
            jobs.c.next_attempt_at.is_(None),
            jobs.c.rank == rank.value,
        )
        .order_by(jobs.c.turn)
        .limit(1)
    )
    given = (
        select(turns.c.turn)
        .where(turns.c.rank == rank.value)
        .order_by(turns.c.turn.desc())
        .limit(1)
    )
    return func.coalesce(served.scalar_subquery(), given.scalar_subquery(), literal(0.0))


def _turn(parameter: Parameters, rank: Rank) -> Executable:
    step = parameter("step", turns.c.turn.type)
    now = present(rank)
    return (
        insert(turns)
        .values(client=parameter("client", turns.c.client.type), rank=rank.value, turn=now + step)
        .on_conflict_do_update(
            index_elements=["client", "rank"],
            set_={"turn": func.greatest(turns.c.turn, now) + step, "updated_at": func.now()},
        )
        .returning(
            (turns.c.turn - step).label("turn"),
            RELAX.label("is_relaxed"),
        )
    )


TURN_IN = {
    rank: Prepared(
        f"take_turn_{rank.name.lower()}",
        partial(_turn, rank=rank),
        returns={"turn": turns.c.turn.type, "is_relaxed": Text()},
    )
    for rank in Rank
}


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
