"""One attempt of one job, from claim to result. The body of `transcribe_audio_task`."""

import logging
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

import psutil

from audio.decode import DecodedAudio
from config import QUEUE_RETRY
from domain.errors import DatabaseUnavailable, ModelHostLost, ScriptoriumError, Stopped
from domain.lifecycle import Rank, Step
from domain.options import TranscriptionOptions
from domain.retry import Retry, decide
from domain.transcript import Transcript
from domain.windows import Window, usable_windows
from services import lifecycle
from services.attempts import Claim, FailedAttempt
from services.dispatch import RANK_OF_QUEUE
from services.estimates import RESUMED_FROM, time_left_s
from services.heartbeat import Heartbeat, save_progress
from services.history import note
from services.jobs import publish_or_log
from services.log_context import request_context
from services.running_limits import claim_within_limits
from services.watchdog import StopReason, error_of
from services.window_store import drop_windows, load_windows
from services.worker_context import WorkerServices

logger = logging.getLogger(__name__)

T = TypeVar("T")

TASK_S = 1.0  # short against a recording, long against the cost of a message
DECODE_BASE_S = 60.0  # starting ffmpeg on a busy machine
DECODE_SHARE = 0.2  # of the recording's length; ffmpeg takes 0.003 of it when alone
PERSIST_PATIENCE_S = 300.0  # the work is done: waiting for Postgres beats doing it again
STOPPING_PATIENCE_S = 5.0  # the database may be stopping, too
PERSIST_RETRY_S = 1.0
MAX_MESSAGE_CHARS = 2_000
BYTES_PER_MB = 1024 * 1024
FRAMES_PER_S = 100  # of mel


def run_waiting(
    services: WorkerServices,
    rung_for: UUID,
    queue: str,
    *,
    on_job: Callable[[UUID | None], None] = lambda _: None,
) -> None:
    """Answer one message: work until nothing that it speaks for waits, or for TASK_S.

    A message says that a job waits, not which one goes next. It is spent only when nothing of
    its rank or a better one waits; otherwise it is sent on. So no job is left without one,
    and short jobs do not pay for a message each.
    """
    ends_at = time.monotonic() + TASK_S
    while run_job(services, queue, on_claim=on_job) is not None:
        on_job(None)
        if time.monotonic() > ends_at or services.is_draining():
            publish_or_log(services.base, rung_for, queue)
            return


def run_job(
    services: WorkerServices,
    queue: str = QUEUE_RETRY,
    *,
    on_claim: Callable[[UUID], None] = lambda _: None,
) -> UUID | None:
    """Run one attempt of the job that goes next among those of this queue and better ones.

    Returns which, or None when none waits. Safe to call at any time.
    """

    def take() -> Claim | None:
        return claim_within_limits(services.base, RANK_OF_QUEUE[queue], services.worker)

    claim = _patiently(services, {"queue": queue}, take)
    if claim is None:
        logger.debug("nothing_to_claim", extra={"queue": queue})
        return None
    on_claim(claim.job_id)
    with request_context(claim.request_id):
        logger.info("job_started", extra=_facts(claim))
        _attempt(services, claim)
    return claim.job_id


def _attempt(services: WorkerServices, claim: Claim) -> None:
    heart = Heartbeat(
        services.base,
        claim,
        is_draining=services.is_draining,
        on_stuck=lambda: _end_stuck(services, claim, heart),
    )
    try:
        with heart:
            transcript, transcribe_s = _transcribe(services, claim, heart)
            heart.finish()
            _persist(services, claim, transcript, transcribe_s)
    except Stopped:
        _on_stop(services, claim, heart)
    except Exception as error:  # noqa: BLE001 - every error ends in the retry or the dead letters
        _on_error(services, claim, error, heart.take_windows())


def _transcribe(
    services: WorkerServices, claim: Claim, heart: Heartbeat
) -> tuple[Transcript, float]:
    options = TranscriptionOptions.from_dict(claim.options)
    started = time.monotonic()
    audio = _decode(services, claim, heart)
    decoded = time.monotonic()
    heart.publish(current_step=Step.LOADING_MODEL, duration_s=audio.duration_s)
    with services.acquire_model(
        options.model_size,
        allow_downgrade=options.allow_downgrade,
        is_urgent=claim.rank == Rank.HIGH,
        is_suspect=claim.error_type == ModelHostLost.code,
        should_stop=heart.should_stop,
    ) as model:
        acquired = time.monotonic()
        kept = _kept_windows(services, claim, model.model_size)
        heart.start_after(kept)
        heart.limit(audio.duration_s)
        transcript = model.transcribe(
            audio.samples,
            options,
            on_progress=_progress(services, heart, model, audio.duration_s, _end_s(kept)),
            should_stop=heart.should_stop,
            on_window=heart.keep,
            resume=kept,
        )
    done = time.monotonic()
    timings = {
        "audio_decode_s": round(decoded - started, 3),
        "model_acquire_s": round(acquired - decoded, 3),
        "transcribe_s": round(done - acquired, 3),
        **({RESUMED_FROM: _end_s(kept)} if kept else {}),
        **{name: round(value, 3) for name, value in transcript.timings_s.items()},
    }
    return transcript.with_notes(audio.warnings, timings), done - acquired


def _kept_windows(services: WorkerServices, claim: Claim, model: str) -> Sequence[Window]:
    """What earlier attempts decoded with this very model, if anything; the rest is dropped."""
    if not claim.has_windows:
        return ()
    engine = services.base.settings.whisper_engine
    with services.base.open_session() as session:
        if lifecycle.heartbeat(session, claim, lease=services.base.lease) is None:
            raise Stopped
        found = load_windows(session, claim.job_id)
        kept = usable_windows(found, engine=engine, model=model)
        if len(kept) < len(found):
            drop_windows(session, claim.job_id, first=len(kept))
            detail: dict[str, Any] = {"model_used": model}
            note(session, claim.job_id, "restarted", actor=claim.worker, detail=detail)
        if kept:
            detail = {"windows": len(kept), "from_s": _end_s(kept)}
            note(session, claim.job_id, "resumed", actor=claim.worker, detail=detail)
    logger.info("job_resumed", extra={**_facts(claim), "from_s": _end_s(kept)})
    return kept


def _end_s(windows: Sequence[Window]) -> float:
    return windows[-1].next_seek / FRAMES_PER_S if windows else 0.0


def _decode(services: WorkerServices, claim: Claim, heart: Heartbeat) -> DecodedAudio:
    maximum_s = services.base.settings.max_audio_duration_s
    length_s = claim.duration_s if claim.duration_s is not None else maximum_s
    with services.base.storage.local_path(claim.file_path) as path:
        return services.decode(
            path,
            max_duration_s=maximum_s,
            timeout_s=DECODE_BASE_S + DECODE_SHARE * length_s,
            should_stop=heart.should_stop,
        )


class _Progress:
    """Turns the engine's shares into what people watch."""

    def __init__(self, heart: Heartbeat, expected_s: float | None, start: float) -> None:
        self._heart = heart
        self._expected_s = expected_s
        self._start = start  # share that earlier attempts decoded
        self._started = time.monotonic()
        self(start)

    def __call__(self, share: float) -> None:
        elapsed_s = time.monotonic() - self._started
        done = max(0.0, share - self._start) / (1 - self._start)
        self._heart.publish(
            current_step=Step.TRANSCRIBING,
            progress=min(1.0, max(0.0, share)),
            time_left_s=time_left_s(done, elapsed_s, self._expected_s),
        )


def _progress(
    services: WorkerServices, heart: Heartbeat, model: Any, duration_s: float, kept_s: float
) -> _Progress:
    speed = services.speeds.of(services.base, model.model_size, model.device)
    start = min(kept_s / duration_s, 0.999) if duration_s else 0.0
    expected_s = duration_s * (1 - start) / speed if speed else None
    return _Progress(heart, expected_s, start)


def _persist(
    services: WorkerServices, claim: Claim, transcript: Transcript, transcribe_s: float
) -> None:
    """Write the result."""

    def write() -> bool:
        with services.base.open_statement() as session:
            return lifecycle.complete(session, claim, transcript, transcribe_s)

    is_mine = _patiently(services, _facts(claim), write)
    if not is_mine:
        # Either a cancel came first, or another attempt holds the job now.
        raise Stopped
    audio_s, wall_s = round(transcript.duration_s, 3), round(transcribe_s, 3)
    logger.info("job_completed", extra={**_facts(claim), "audio_s": audio_s, "wall_s": wall_s})


def _on_stop(services: WorkerServices, claim: Claim, heart: Heartbeat) -> None:
    """End an attempt that was asked to end; what the row says decides what becomes of it."""
    reason = heart.stop_reason
    error = error_of(reason, services.base.settings)
    if error is not None:
        _on_error(services, claim, error, heart.take_windows())
        return
    windows = heart.take_windows()

    def write() -> str:
        with services.base.open_session() as session:
            if lifecycle.confirm_cancel(session, claim):
                return "job_cancelled"
            if reason is StopReason.DRAINING and lifecycle.release(session, claim, "worker stops"):
                save_progress(session, claim, windows)
                return "job_released"
            return "job_fenced"

    outcome = _patiently(services, _facts(claim), write)
    logger.info(outcome, extra=_facts(claim))


def _end_stuck(services: WorkerServices, claim: Claim, heart: Heartbeat) -> None:
    """Give the job away and end this process: its main thread hears nothing any more.

    Called by the heartbeat's thread. Without the kill the slot would be lost for good.
    """
    logger.error("child_stuck", extra={**_facts(claim), "reason": str(heart.stop_reason)})
    try:
        _on_stop(services, claim, heart)
    finally:
        services.end_process()


def _on_error(
    services: WorkerServices, claim: Claim, error: Exception, windows: Sequence[Window]
) -> None:
    policy = services.base.retry_policy(claim.max_attempts)
    decision = decide(error, claim.attempt, claim.job_id, policy)
    failed = describe(error, services.worker)
    facts = {**_facts(claim), "error_type": failed.error_type, "reason": failed.message}

    def write() -> bool | None:
        with services.base.open_session() as session:
            if lifecycle.confirm_cancel(session, claim):
                return None
            if isinstance(decision, Retry):
                is_mine = lifecycle.retry_later(session, claim, failed, decision.after)
            else:
                is_mine = lifecycle.fail(session, claim, failed, decision.reason)
            if is_mine:
                save_progress(session, claim, windows)
            return is_mine

    is_mine = _patiently(services, _facts(claim), write)
    if is_mine is None:
        logger.info("job_cancelled", extra=_facts(claim))
        return
    if not is_mine:
        logger.info("job_fenced", extra=facts)
    elif isinstance(decision, Retry):
        after_s = round(decision.after.total_seconds(), 3)
        logger.warning(
            "job_failed_attempt retry: in %.1f s",
            after_s,
            extra=facts,
            exc_info=not isinstance(error, ScriptoriumError),
        )
    else:
        logger.error(
            "job_failed",
            extra={**facts, "gave_up": decision.reason},
            exc_info=not isinstance(error, ScriptoriumError),
        )
        services.publish_dead_letter(claim.job_id)


def _patiently(services: WorkerServices, facts: dict[str, object], act: Callable[[], T]) -> T:
    """Begin or end an attempt, waiting out a database that is away; the fence keeps it safe."""
    began_at = time.monotonic()
    while True:
        try:
            return act()
        except DatabaseUnavailable:
            patience_s = STOPPING_PATIENCE_S if services.is_draining() else PERSIST_PATIENCE_S
            if time.monotonic() - began_at > patience_s:
                raise
            logger.warning("attempt_waits_for_database", extra=facts)
            threading.Event().wait(PERSIST_RETRY_S)


def describe(error: BaseException, worker: str | None) -> FailedAttempt:
    """The facts of an error, for the dead letters."""
    message = str(error) or type(error).__name__
    return FailedAttempt(
        error_type=getattr(error, "code", "internal_error"),
        error_class=type(error).__name__,
        message=message[:MAX_MESSAGE_CHARS],
        stack_trace="".join(traceback.format_exception(error)),
        worker=worker,
        memory_mb=round(psutil.Process().memory_info().rss / BYTES_PER_MB, 1),
    )


def _facts(claim: Claim) -> dict[str, object]:
    return {"job_id": str(claim.job_id), "attempt": claim.attempt, "worker": claim.worker}
