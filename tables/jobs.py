"""Jobs, what came of them and what happened to them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    SmallInteger,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from domain.ids import new_id
from tables.base import JOB_ID, THIS_TRANSACTION, Base, newest

IS_READY = text("status = 'pending' AND next_attempt_at IS NULL")
IS_DELAYED = text("status = 'pending' AND next_attempt_at IS NOT NULL")
HAS_RECORDING = text("completed_at IS NOT NULL AND file_removed_at IS NULL")
IS_OPEN = text("status IN ('pending', 'processing')")


class TranscriptionJob(Base):
    """One job: what the user asked for, and where it stands."""

    __tablename__ = "transcription_jobs"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    status: Mapped[str] = mapped_column(server_default="pending")
    priority: Mapped[int] = mapped_column(SmallInteger, server_default=text("1"))

    # Its place in the queue: the lowest (rank, turn) starts next. See services/queue_order.py
    client: Mapped[str] = mapped_column(server_default="")  # whose turn it is that the job takes
    rank: Mapped[int] = mapped_column(SmallInteger, server_default=text("1"))  # domain Rank
    turn: Mapped[float] = mapped_column(Float, server_default=text("0"))
    waiting_since: Mapped[datetime] = mapped_column(server_default=func.now())

    # What was asked for
    model_size: Mapped[str]
    language: Mapped[str | None]
    options: Mapped[dict[str, Any]]  # TranscriptionOptions, whole
    # Whose it is and by which door it came
    tenant: Mapped[str] = mapped_column(server_default="default")
    key_id: Mapped[UUID | None]  # the key that submitted it; keys may be removed
    door: Mapped[str] = mapped_column(server_default="native")  # native, openai, ...
    door_fields: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    name: Mapped[str | None]  # what people call it
    labels: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    batch_id: Mapped[UUID | None]
    webhook: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))

    original_filename: Mapped[str | None]
    content_type: Mapped[str | None]
    file_path: Mapped[str]  # storage key, never a client's name
    file_removed_at: Mapped[datetime | None]  # when the recording went before its row
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    duration_s: Mapped[float | None] = mapped_column(Float)  # of the probe, corrected by the decode
    request_id: Mapped[str | None]

    # The guarded lifecycle: written by services/lifecycle.py alone
    attempt: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    # The fence: bumped whenever the job changes hands, never reset. `attempt` cannot be it,
    # because a graceful stop gives an attempt back and an operator's retry starts at 0 again.
    lease_token: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    max_attempts: Mapped[int] = mapped_column(Integer, server_default=text("5"))
    lease_owner: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]
    next_attempt_at: Mapped[datetime | None]  # set while waiting for a retry
    published_at: Mapped[datetime | None]  # when the doorbell was last rung
    cancel_requested_at: Mapped[datetime | None]

    # What people watch
    progress: Mapped[float] = mapped_column(Float, server_default=text("0"))
    current_step: Mapped[str] = mapped_column(server_default="queued")
    time_left_s: Mapped[float | None] = mapped_column(Float)
    error_type: Mapped[str | None]  # of the last failed attempt: a stable code
    error_message: Mapped[str | None]

    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]  # of the current attempt
    completed_at: Mapped[datetime | None]  # when it reached a terminal state

    result: Mapped["TranscriptionResult | None"] = relationship(
        back_populates="job", passive_deletes=True
    )
    errors: Mapped[list["ErrorLog"]] = relationship(back_populates="job", passive_deletes=True)

    __table_args__ = (
        CheckConstraint(
            "status IN ('pending', 'processing', 'completed', 'failed', 'cancelled')",
            name="status_known",
        ),
        CheckConstraint("priority IN (0, 1)", name="priority_known"),
        CheckConstraint(
            "status <> 'processing' OR lease_expires_at IS NOT NULL", name="processing_is_leased"
        ),
        CheckConstraint("attempt <= max_attempts", name="attempts_bounded"),
        CheckConstraint("progress BETWEEN 0 AND 1", name="progress_is_a_share"),
        Index("ix_jobs_next", "rank", "turn", "created_at", "id", postgresql_where=IS_READY),
        Index("ix_jobs_due", "next_attempt_at", postgresql_where=IS_DELAYED),
        Index("ix_jobs_unheard", text("published_at NULLS FIRST"), postgresql_where=IS_READY),
        Index("ix_jobs_leased", "lease_expires_at", postgresql_where=text("status = 'processing'")),
        newest("ix_jobs_newest"),
        newest("ix_jobs_newest_by_status", "status"),
        Index("ix_jobs_recordings", "status", "completed_at", postgresql_where=HAS_RECORDING),
        Index("ix_jobs_file", "file_path"),
        newest("ix_jobs_tenant", "tenant"),
        Index("ix_jobs_content", "tenant", "sha256"),
        Index("ix_jobs_batch", "batch_id", postgresql_where=text("batch_id IS NOT NULL")),
        Index("ix_jobs_open", "tenant", "status", postgresql_where=IS_OPEN),
    )


class TranscriptionResult(Base):
    """The result of a completed job. The job's id is the key: a second one is impossible."""

    __tablename__ = "transcription_results"

    job_id: Mapped[UUID] = mapped_column(ForeignKey(JOB_ID, ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(Integer)
    lease_token: Mapped[int] = mapped_column(BigInteger)
    transcription_text: Mapped[str]
    language: Mapped[str]
    language_probability: Mapped[float | None] = mapped_column(Float)
    duration: Mapped[float] = mapped_column(Float)  # seconds decoded
    word_count: Mapped[int] = mapped_column(Integer)
    confidence: Mapped[float | None] = mapped_column(Float)
    segments: Mapped[list[dict[str, Any]]]  # domain.transcript.Segment, each whole
    task: Mapped[str]
    model_requested: Mapped[str]
    model_used: Mapped[str]
    engine: Mapped[str]
    device: Mapped[str]
    fallbacks: Mapped[list[dict[str, Any]]]  # rungs of the out-of-memory ladder
    warnings: Mapped[list[dict[str, Any]]]
    timings: Mapped[dict[str, Any]]  # seconds per stage
    # domain.transcript.Coverage; NULL where nobody looked for speech
    coverage: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    transcribe_s: Mapped[float] = mapped_column(Float)  # for estimates of the time left
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    job: Mapped[TranscriptionJob] = relationship(back_populates="result")

    __table_args__ = (Index("ix_results_by_model", "model_used", text("created_at DESC")),)


class TranscriptionWindow(Base):
    """One decoded window of an unfinished job: a new attempt goes on after the last one."""

    __tablename__ = "transcription_windows"

    job_id: Mapped[UUID] = mapped_column(ForeignKey(JOB_ID, ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)  # from 0
    lease_token: Mapped[int] = mapped_column(BigInteger)  # of the attempt that decoded it
    engine: Mapped[str]
    model_used: Mapped[str]
    next_seek: Mapped[int] = mapped_column(Integer)  # mel frames of 10 ms
    segments: Mapped[list[dict[str, Any]]]
    carried: Mapped[dict[str, Any]]  # what the engine needs to go on; nobody else reads it
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ClientTurn(Base):
    """Where a client's next job would stand in the queue of a rank."""

    __tablename__ = "client_turns"

    client: Mapped[str] = mapped_column(primary_key=True)
    rank: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    turn: Mapped[float] = mapped_column(Float)
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("ix_turns_latest", "rank", text("turn DESC")),)


class ErrorLog(Base):
    """A dead letter: one job that was given up, with all that is known of why."""

    __tablename__ = "error_logs"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    job_id: Mapped[UUID] = mapped_column(ForeignKey(JOB_ID, ondelete="CASCADE"))
    error_type: Mapped[str]  # stable code, as in domain/errors.py
    error_class: Mapped[str]
    error_message: Mapped[str]
    reason: Mapped[str]  # why it was not tried again
    stack_trace: Mapped[str | None]
    retry_count: Mapped[int] = mapped_column(Integer)  # attempts beyond the first
    options: Mapped[dict[str, Any]]
    worker_id: Mapped[str | None]
    memory_mb: Mapped[float | None] = mapped_column(Float)  # resident, of the worker process
    resolved: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    resolution: Mapped[str | None]  # retried, resolved
    resolved_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    job: Mapped[TranscriptionJob] = relationship(back_populates="errors")

    __table_args__ = (
        newest("ix_errors_newest"),
        Index("ix_errors_open", "error_type", postgresql_where=text("NOT resolved")),
        Index("ix_errors_job", "job_id"),
    )


class JobEvent(Base):
    """One transition of one job: the history, appended in the same transaction."""

    __tablename__ = "job_events"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    job_id: Mapped[UUID] = mapped_column(ForeignKey(JOB_ID, ondelete="CASCADE"))
    # The transaction that wrote it. Ids of concurrent transactions may become visible out of
    # order; whoever reads all events reads up to the oldest transaction that still runs.
    tx: Mapped[int] = mapped_column(BigInteger, server_default=THIS_TRANSACTION)
    event: Mapped[str]
    status: Mapped[str]  # after the transition
    attempt: Mapped[int] = mapped_column(Integer)
    actor: Mapped[str]
    detail: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())

    __table_args__ = (
        Index("ix_events_job", "job_id", "id"),
        Index("ix_events_at", "at"),
        Index("ix_events_tx", "tx", "id"),
    )
