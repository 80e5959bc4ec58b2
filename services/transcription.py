"""One attempt of one job, from claim to result. The body of `transcribe_audio_task`."""

import logging
import threading
import time
import traceback
from uuid import UUID

import psutil

from audio.decode import DecodedAudio
from domain.errors import DatabaseUnavailable, ScriptoriumError, Stopped
from domain.lifecycle import Step
from domain.options import TranscriptionOptions
from domain.retry import GiveUp, Retry, decide
from domain.transcript import Transcript
from services import lifecycle
from services.estimates import recent_speed, time_left_s
from services.heartbeat import Heartbeat, StopReason
from services.lifecycle import Claim, FailedAttempt
from services.log_context import request_context
from services.worker_context import WorkerServices

logger = logging.getLogger(__name__)

DECODE_BASE_S = 60.0  # starting ffmpeg on a busy machine
DECODE_SHARE = 0.2  # of the recording's length; ffmpeg takes 0.003 of it when alone
PERSIST_PATIENCE_S = 300.0  # the work is done: waiting for Postgres beats doing it again
PERSIST_RETRY_S = 1.0
MAX_MESSAGE_CHARS = 2_000
BYTES_PER_MB = 1024 * 1024


def run_job(services: WorkerServices, job_id: UUID) -> None:
    """Run one attempt. Safe to call twice, late or for a job that is gone."""
    with services.base.open_session() as session:
        claim = lifecycle.claim(session, job_id, worker=services.worker, lease=services.base.lease)
    if claim is None:
        logger.info("job_not_claimed", extra={"job_id": str(job_id)})
        return
    with request_context(claim.request_id):
        logger.info("job_started", extra=_facts(claim))
        _attempt(services, claim)


def _attempt(services: WorkerServices, claim: Claim) -> None:
    with Heartbeat(services.base, claim, is_draining=services.is_draining) as heart:
        try:
            transcript, transcribe_s = _transcribe(services, claim, heart)
            heart.publish(current_step=Step.SAVING)
            _persist(services, claim, transcript, transcribe_s)
        except Stopped:
            _on_stop(services, claim, heart.stop_reason)
        except Exception as error:  # noqa: BLE001 - every error ends in the retry or the dead letters
            _on_error(services, claim, error)


def _transcribe(
    services: WorkerServices, claim: Claim, heart: Heartbeat
) -> tuple[Transcript, float]:
    options = TranscriptionOptions.from_dict(claim.options)
    started = time.monotonic()
    audio = _decode(services, claim, heart)
    decoded = time.monotonic()
    heart.publish(current_step=Step.LOADING_MODEL, duration_s=audio.duration_s)
    with services.acquire_model(
        options.model_size, allow_downgrade=options.allow_downgrade
    ) as model:
        acquired = time.monotonic()
        transcript = model.transcribe(
            audio.samples,
            options,
            on_progress=_progress(services, heart, options.model_size, audio.duration_s),
            should_stop=heart.should_stop,
        )
    done = time.monotonic()
    timings = {
        "audio_decode_s": round(decoded - started, 3),
        "model_acquire_s": round(acquired - decoded, 3),
        "transcribe_s": round(done - acquired, 3),
        **{name: round(value, 3) for name, value in transcript.timings_s.items()},
    }
    return transcript.with_notes(audio.warnings, timings), done - acquired


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

    def __init__(self, heart: Heartbeat, expected_s: float | None) -> None:
        self._heart = heart
        self._expected_s = expected_s
        self._started = time.monotonic()
        self(0.0)

    def __call__(self, share: float) -> None:
        elapsed_s = time.monotonic() - self._started
        self._heart.publish(
            current_step=Step.TRANSCRIBING,
            progress=min(1.0, max(0.0, share)),
            time_left_s=time_left_s(share, elapsed_s, self._expected_s),
        )


def _progress(
    services: WorkerServices, heart: Heartbeat, model_size: str, duration_s: float
) -> _Progress:
    with services.base.open_session() as session:
        speed = recent_speed(session, model_size)
    return _Progress(heart, duration_s / speed if speed else None)


def _persist(
    services: WorkerServices, claim: Claim, transcript: Transcript, transcribe_s: float
) -> None:
    """Write the result, waiting out a database that is away: the fence keeps it safe."""
    deadline = time.monotonic() + PERSIST_PATIENCE_S
    while True:
        try:
            with services.base.open_session() as session:
                is_mine = lifecycle.complete(session, claim, transcript, transcribe_s)
            break
        except DatabaseUnavailable:
            if time.monotonic() > deadline:
                raise
            logger.warning("result_waits_for_database", extra=_facts(claim))
            threading.Event().wait(PERSIST_RETRY_S)
    if is_mine:
        audio_s, wall_s = round(transcript.duration_s, 3), round(transcribe_s, 3)
        logger.info("job_completed", extra={**_facts(claim), "audio_s": audio_s, "wall_s": wall_s})
        return
    # Either a cancel came first, or another attempt holds the job now.
    _on_stop(services, claim, StopReason.CANCELLED)


def _on_stop(services: WorkerServices, claim: Claim, reason: StopReason | None) -> None:
    """End an attempt that was asked to end; what the row says decides what becomes of it."""
    with services.base.open_session() as session:
        if lifecycle.confirm_cancel(session, claim):
            outcome = "job_cancelled"
        elif reason is StopReason.DRAINING and lifecycle.release(session, claim, "worker stops"):
            outcome = "job_released"
        else:
            outcome = "job_fenced"
    logger.info(outcome, extra=_facts(claim))


def _on_error(services: WorkerServices, claim: Claim, error: Exception) -> None:
    decision = decide(error, claim.attempt, claim.job_id, services.base.retry_policy)
    failed = describe(error, services.worker)
    facts = {**_facts(claim), "error_type": failed.error_type, "reason": failed.message}
    with services.base.open_session() as session:
        if lifecycle.confirm_cancel(session, claim):
            logger.info("job_cancelled", extra=_facts(claim))
            return
        match decision:
            case Retry(after):
                is_mine = lifecycle.retry_later(session, claim, failed, after)
            case GiveUp(reason):
                is_mine = lifecycle.fail(session, claim, failed, reason)
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
