"""What the program asks of its tables, each question by the program's own code."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from benchmarks.core_fill import EXPIRED, LEASED, row_id
from benchmarks.core_stack import Stack
from benchmarks.core_statements import Observer
from config import Settings
from domain.errors import QuotaExceeded
from domain.lifecycle import JobStatus, Priority, Rank
from domain.options import TranscriptionOptions
from domain.submission import Submission
from services import estimates, health, lifecycle, retention, sweeps
from services.attempts import Claim
from services.backlog import expected_wait_s
from services.client_stream import Position, read_page
from services.dead_letter_views import ErrorFilter, list_errors
from services.estimates import Speeds
from services.event_feed import Wanted, read_news
from services.histories import job_history
from services.idempotency import Once, first_job
from services.job_lists import JobFilter, encode_cursor, list_jobs
from services.jobs import get_job
from services.limits import require_room
from services.queue_order import take_turn
from services.queue_positions import QueuePositions
from services.running_limits import claim_within_limits
from services.storage_audit import FileAudit
from services.usage import read_usage

WORKER = "host:1/2"
LISTENERS = 100
PAGE_LINES = 2_000
A_DAY_S = 86_400.0
Cases = Mapping[str, Callable[[], object]]


@dataclass(frozen=True)
class Landmarks:
    """Rows to ask about."""

    finished: int  # numbers 1 to this one are finished jobs
    waiting: int  # and as many after them wait
    middle_at: datetime  # when the job in the middle was made

    @property
    def middle(self) -> UUID:
        """A finished job."""
        return row_id(self.finished // 2)

    @property
    def last_in_line(self) -> UUID:
        """A job that waits behind nearly all others."""
        return row_id(self.finished + self.waiting - 2)

    @property
    def held(self) -> Claim:
        """The lease of a job that is worked on."""
        place = EXPIRED + (LEASED - EXPIRED) // 2
        return Claim(
            job_id=row_id(self.finished + 1 + place),
            attempt=1,
            lease_token=1,
            max_attempts=5,
            worker=f"host:1/{place}",
            file_path="",
            duration_s=60.0,
            options={},
            request_id=None,
            rank=Rank.NORMAL,
            error_type=None,
            has_windows=True,
        )


def find_landmarks(stack: Stack, finished: int, waiting: int) -> Landmarks:
    """Look up what the filling left to chance."""
    with stack.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT created_at FROM transcription_jobs WHERE id = %s", (str(row_id(finished // 2)),)
        )
        found = cursor.fetchone()
    if found is None:  # never: the filling made it
        raise AssertionError
    return Landmarks(finished, waiting, found[0])


def all_cases(observer: Observer, marks: Landmarks) -> Cases:
    """Every question by name."""
    return {
        **_worker_cases(observer, marks),
        **_api_cases(observer, marks),
        **_tenant_cases(observer),
        **_listener_cases(observer, marks),
        **_sweep_cases(observer),
    }


def _worker_cases(observer: Observer, marks: Landmarks) -> Cases:
    lease = timedelta(seconds=30)

    def claim(rank: Rank) -> Callable[[], object]:
        return _in_session(
            observer,
            lambda session: lifecycle.claim_next(session, rank, worker=WORKER, lease=lease),
        )

    return {
        "claim, any rank": claim(Rank.RETRY),
        "claim, normal": claim(Rank.NORMAL),
        "claim, urgent only": claim(Rank.HIGH),
        "heartbeat": _in_session(
            observer, lambda session: lifecycle.heartbeat(session, marks.held, lease=lease)
        ),
        "recent speed": _in_session(
            observer, lambda session: estimates.recent_speed(session, "base", "cpu")
        ),
        "recent speed, unknown model": _in_session(
            observer, lambda session: estimates.recent_speed(session, "turbo", "cuda")
        ),
    }


def _api_cases(observer: Observer, marks: Landmarks) -> Cases:
    services = observer.services
    cursor = encode_cursor(marks.middle_at, marks.middle)

    def listed(**filters: Any) -> Callable[[], object]:
        return lambda: list_jobs(services, JobFilter(**filters))

    return {
        "turn of a submission": _in_session(
            observer, lambda session: take_turn(session, "client-7", Rank.NORMAL, 1.0)
        ),
        "submission": _in_session(
            observer,
            lambda session: lifecycle.create(session, _new_job(services.settings), detail={}),
        ),
        "job and its place in line": lambda: get_job(services, marks.last_in_line),
        "places in line, all": _in_session(
            observer, lambda session: QueuePositions().read(session, [marks.last_in_line])
        ),
        "list, first page": listed(),
        "list, next page": lambda: list_jobs(services, JobFilter(), cursor=cursor),
        "list, completed": listed(status=JobStatus.COMPLETED),
        "list, completed, next page": lambda: list_jobs(
            services, JobFilter(status=JobStatus.COMPLETED), cursor=cursor
        ),
        "list, processing": listed(status=JobStatus.PROCESSING),
        "list, waiting": listed(status=JobStatus.PENDING),
        "history": lambda: job_history(services, marks.middle),
        "dead letters, first page": lambda: list_errors(services, ErrorFilter()),
        "dead letters, open": lambda: list_errors(services, ErrorFilter(resolved=False)),
        "health, jobs": _in_session(observer, health._jobs),  # noqa: SLF001 - its only door opens more
        "health, errors": _in_session(observer, health._errors),  # noqa: SLF001
    }


def _tenant_cases(observer: Observer) -> Cases:
    services = observer.services
    settings = services.settings.model_copy(
        update={"limit_waiting_jobs": 10**6, "limit_running_jobs": 10**6, "limit_bytes_per_day": 1}
    )
    limited = replace(services, settings=settings)
    once = Once("default", "a key", "a fingerprint")

    def ask_for_room() -> None:
        with suppress(QuotaExceeded):
            require_room(limited, "default")

    return {
        "submission, with a key": _in_session(
            observer,
            lambda session: lifecycle.create(session, _new_job(settings), detail={}, once=once),
        ),
        "job of a key": lambda: first_job(services, once),
        "room of a tenant": ask_for_room,
        "claim, within limits": lambda: claim_within_limits(limited, Rank.RETRY, WORKER),
        "expected wait": lambda: expected_wait_s(services, Speeds()),
        "usage of a month": lambda: read_usage(services, "default"),
        "usage of all tenants": lambda: read_usage(services, None),
    }


def _listener_cases(observer: Observer, marks: Landmarks) -> Cases:
    wanted = [Wanted(row_id(marks.finished - number)) for number in range(LISTENERS)]
    # Events of the past have numbers of transactions below those that run.
    latest = Position(-PAGE_LINES, 0)
    return {
        f"news of {LISTENERS} jobs": _in_session(
            observer, lambda session: read_news(session, wanted)
        ),
        "news of a client's jobs": _in_session(
            observer, lambda session: read_page(session, ["client-7"], latest)
        ),
    }


def _sweep_cases(observer: Observer) -> Cases:
    services = observer.services
    # As when every waiting job was rung for lately: the usual case, and a look in vain.
    calm = services.settings.model_copy(update={"redispatch_after_s": A_DAY_S})
    all_rung = replace(services, settings=calm)
    audit = FileAudit()
    return {
        "dispatch": lambda: sweeps.dispatch_pending(services),
        "dispatch, nothing to ring for": lambda: sweeps.dispatch_pending(all_rung),
        "reap": lambda: sweeps.reap_expired(services),
        "force cancels": lambda: sweeps.force_cancels(services),
        "age": lambda: sweeps.age_waiting(services),
        **{
            f"retention, {sweep.__name__.replace('_', ' ')}": _of(sweep, services)
            for sweep in retention.SWEEPS
        },
        "storage audit, files": lambda: audit.remove_orphans(services),
    }


def _of(sweep: Callable[[Any], int], services: object) -> Callable[[], object]:
    return lambda: sweep(services)


def _in_session(observer: Observer, ask: Callable[[Any], object]) -> Callable[[], object]:
    def run() -> object:
        with observer.open_session() as session:
            return ask(session)

    return run


def _new_job(settings: Settings) -> dict[str, Any]:
    return {
        "id": uuid4(),
        "client": "client-7",
        "priority": Priority.NORMAL,
        "rank": Rank.NORMAL,
        "turn": 0.0,
        "model_size": "base",
        "language": None,
        "options": TranscriptionOptions("base").to_dict(),
        "original_filename": "second.wav",
        "content_type": "audio/x-wav",
        "file_path": uuid4().hex,
        "size_bytes": 32_044,
        "sha256": uuid4().hex * 2,
        "duration_s": 1.0,
        "request_id": None,
        "max_attempts": settings.max_attempts,
        **Submission().columns(),
    }
