"""Settings: the only reader of the environment. Every problem is reported at once, at start."""

import math
import os
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from domain.errors import ConfigurationError, OptionInvalid
from domain.exposure import is_guessable, is_loopback
from domain.options import MODEL_SIZES, canonical_model

MIB = 1024 * 1024
MIN_ADMIN_KEY_CHARS = 16
MAX_DAYS = 36_500  # a hundred years: further back Postgres' calendar might end
OPENMP_SPINS = "5000"  # a few dozen microseconds
MALLOC_ARENAS = "2"
HOST = re.compile(r"[a-z0-9_.:-]+")


class Settings(BaseSettings):
    """One field per setting. The environment variable is the alias, or the name in capitals."""

    model_config = SettingsConfigDict(
        env_file=".env", extra="ignore", populate_by_name=True, frozen=True
    )

    # Where things live
    database_url: str = ""
    redis_url: str = ""
    db_pool_size: Annotated[int, Field(ge=1)] = 5
    data_dir: Path = Path(".data")
    storage_dir: Path | None = None
    model_dir: Path | None = None

    # API
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    web_workers: Annotated[int, Field(ge=1)] = 2
    web_threads: Annotated[int, Field(ge=1)] = 16
    max_event_streams: Annotated[int, Field(ge=1)] = 256
    auth: Literal["on", "off"] = "on"
    admin_api_key: str = ""
    cors_origins: str = ""
    max_upload_size_mb: Annotated[int, Field(ge=1)] = 1000
    max_session_upload_mb: Annotated[int, Field(ge=1)] = 4096
    max_upload_sessions: Annotated[int, Field(ge=1)] = 100
    upload_session_hours: Annotated[float, Field(gt=0, le=MAX_DAYS)] = 24.0
    max_batch_items: Annotated[int, Field(ge=1, le=1000)] = 100
    min_free_disk_mb: Annotated[int, Field(ge=0)] = 512
    slow_client_grace_s: Annotated[float, Field(gt=0)] = 30.0
    min_upload_bytes_per_s: Annotated[int, Field(ge=1)] = 1000
    max_wait_s: Annotated[int, Field(ge=0, le=300)] = 60
    sync_max_wait_s: Annotated[float, Field(gt=0)] = 120.0
    probe_timeout_s: Annotated[float, Field(gt=0)] = 30.0
    idempotency_hours: Annotated[float, Field(gt=0)] = 24.0

    # Limits of a tenant that has none of its own; 0 is none
    limit_requests_per_minute: Annotated[int, Field(ge=0)] = 600
    limit_waiting_jobs: Annotated[int, Field(ge=0)] = 0
    limit_running_jobs: Annotated[int, Field(ge=0)] = 0
    limit_bytes_per_day: Annotated[int, Field(ge=0)] = 0
    limit_audio_hours_per_day: Annotated[float, Field(ge=0)] = 0.0

    # Requests of ours to other servers
    outgoing_allow: str = ""
    source_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 300.0
    max_fetches: Annotated[int, Field(ge=1)] = 4

    # Audio
    ffmpeg_bin: str = ""
    max_audio_duration_s: Annotated[int, Field(ge=1)] = 14_400

    # Models
    whisper_engine: Literal["openai_whisper", "faster_whisper", "fake"] = "openai_whisper"
    model_size: Annotated[str, Field(alias="WHISPER_MODEL_SIZE")] = "base"
    device: Annotated[str, Field(alias="WHISPER_DEVICE")] = "auto"
    torch_threads: Annotated[int, Field(ge=0)] = 0
    model_aliases: str = ""
    model_pool_size: Annotated[int, Field(ge=1)] = 2
    model_pool_max_size: Annotated[int, Field(ge=1)] = 4
    model_pool_max_mb: Annotated[int, Field(ge=0)] = 0
    model_idle_unload_s: Annotated[int, Field(ge=0)] = 900
    model_acquire_timeout_s: Annotated[float, Field(gt=0)] = 300.0

    # Worker
    workers: Annotated[int, Field(ge=1)] = 1
    high_only_slots: Annotated[int, Field(ge=0)] = 0
    celery_worker_concurrency: Annotated[int, Field(alias="CELERY_CONCURRENCY", ge=1)] = 4
    worker_max_tasks_per_child: Annotated[int, Field(ge=1)] = 500
    worker_queues: Annotated[tuple[str, ...], NoDecode] = ()
    shutdown_grace_s: Annotated[int, Field(ge=1)] = 60
    deaf_after_s: Annotated[float, Field(gt=0)] = 120.0

    # Job core
    heartbeat_s: Annotated[float, Field(gt=0)] = 5.0
    lease_s: Annotated[float, Field(gt=0)] = 30.0
    reap_interval_s: Annotated[float, Field(gt=0)] = 5.0
    redispatch_after_s: Annotated[float, Field(gt=0)] = 60.0
    cancel_force_after_s: Annotated[float, Field(gt=0)] = 60.0
    max_attempts: Annotated[int, Field(ge=1, le=50)] = 5
    retry_base_s: Annotated[float, Field(gt=0)] = 15.0
    retry_cap_s: Annotated[float, Field(gt=0)] = 3600.0
    visibility_timeout_s: Annotated[int, Field(ge=1)] = 86_400
    client_weights: str = ""
    age_after_s: Annotated[float, Field(ge=0)] = 0.0
    stall_after_s: Annotated[float, Field(gt=0)] = 300.0
    time_limit_base_s: Annotated[float, Field(gt=0)] = 600.0
    time_limit_factor: Annotated[float, Field(gt=0)] = 10.0
    kill_stuck_after_s: Annotated[float, Field(gt=0)] = 30.0

    # Retention
    keep_finished_days: Annotated[int, Field(ge=0, le=MAX_DAYS)] = 30
    keep_failed_days: Annotated[int, Field(ge=0, le=MAX_DAYS)] = 90
    keep_recordings_days: Annotated[int, Field(ge=0, le=MAX_DAYS)] = 0
    keep_windows_days: Annotated[int, Field(ge=0, le=MAX_DAYS)] = 7
    keep_events_days: Annotated[int, Field(ge=0, le=MAX_DAYS)] = 0
    keep_usage_days: Annotated[int, Field(ge=0, le=MAX_DAYS)] = 400
    orphan_after_h: Annotated[float, Field(gt=0)] = 24.0

    # Webhooks
    webhook_threads: Annotated[int, Field(ge=1, le=256)] = 8
    webhook_timeout_s: Annotated[float, Field(gt=0)] = 15.0
    webhook_progress_every_s: Annotated[float, Field(gt=0)] = 10.0
    webhook_pause_after_h: Annotated[float, Field(gt=0)] = 72.0
    keep_webhooks_days: Annotated[int, Field(ge=1, le=MAX_DAYS)] = 30

    # Flower
    flower_port: Annotated[int, Field(ge=0, le=65535)] = 5555
    flower_basic_auth: str = ""

    # Logs
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"

    @field_validator("worker_queues", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(filter(None, value.split(","))) if isinstance(value, str) else value

    @property
    def storage_path(self) -> Path:
        """Folder of the uploads."""
        return (self.storage_dir or self.data_dir / "uploads").resolve()

    @property
    def model_path(self) -> Path:
        """Folder of the weights."""
        return (self.model_dir or self.data_dir / "models").resolve()

    @property
    def run_path(self) -> Path:
        """Folder of what processes of one machine share: locks and sockets."""
        return (self.data_dir / "run").resolve()

    @property
    def max_upload_bytes(self) -> int:
        """MAX_UPLOAD_SIZE_MB in bytes (MiB)."""
        return self.max_upload_size_mb * MIB

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        """CORS_ORIGINS, each as a browser sends it: scheme, host and port. Raises ValueError."""
        found = tuple(filter(None, map(str.strip, self.cors_origins.split(","))))
        for origin in found:
            parts = urlsplit(origin)
            is_whole = parts.scheme in ("http", "https") and parts.netloc
            if not is_whole or f"{parts.scheme}://{parts.netloc}" != origin or "*" in origin:
                raise ValueError("an origin is not of the form https://host or https://host:port")
        return found

    @property
    def max_session_bytes(self) -> int:
        """MAX_SESSION_UPLOAD_MB in bytes (MiB)."""
        return self.max_session_upload_mb * MIB

    @property
    def sqlalchemy_url(self) -> str:
        """DATABASE_URL with its driver named: SQLAlchemy 2.1 takes a bare URL for psycopg 3."""
        scheme, _, rest = self.database_url.partition("://")
        if scheme in ("postgres", "postgresql"):
            return f"postgresql+psycopg2://{rest}"
        return self.database_url

    @property
    def weights(self) -> dict[str, float]:
        """CLIENT_WEIGHTS by client. Raises ValueError."""
        pairs = (item.rpartition("=") for item in self.client_weights.split(",") if item.strip())
        found = {client.strip(): float(weight) for client, _, weight in pairs}
        if not all(client and 0 < weight < math.inf for client, weight in found.items()):
            raise ValueError("a weight is missing or not above 0")
        return found

    @property
    def aliases(self) -> dict[str, str]:
        """MODEL_ALIASES: our sizes by the names that other APIs have. Raises ValueError."""
        pairs = [item.partition("=") for item in self.model_aliases.split(",") if item.strip()]
        found = {name.strip().lower(): canonical_model(size) for name, _, size in pairs}
        if not all(found) or not found.keys().isdisjoint(MODEL_SIZES):
            raise ValueError("a name is missing, or is that of a model of our own")
        return found

    @property
    def allowed_outside(self) -> frozenset[tuple[str, int]]:
        """OUTGOING_ALLOW as hosts, in small letters and without brackets, and ports.

        Raises ValueError.
        """
        found = set()
        for item in filter(None, map(str.strip, self.outgoing_allow.split(","))):
            parts = urlsplit(f"//{item}")
            host, port = parts.hostname or "", parts.port
            if not HOST.fullmatch(host) or not port or parts.netloc != item or "@" in item:
                raise ValueError("an item is not host:port")
            found.add((host, port))
        return frozenset(found)

    @property
    def queues(self) -> tuple[str, ...]:
        """Queues that a worker consumes; the order is the priority."""
        return self.worker_queues or CONSUMED_QUEUES


QUEUE_HIGH = "transcription.high"
QUEUE_NORMAL = "transcription.normal"
QUEUE_RETRY = "transcription.retry"
QUEUE_DLQ = "transcription.dlq"
CONSUMED_QUEUES = (QUEUE_HIGH, QUEUE_NORMAL, QUEUE_RETRY)


def bound_openmp_spinning() -> None:
    """Let torch's threads sleep sooner while they wait for each other. Before torch is imported.

    By default they spin for long, and where anything else wants the processor they keep it
    from the very thread that they wait for. Measured on two cores beside one busy process:
    a recording takes 2.7 times as long by default and 1.6 times so. The price is about 7%
    when it is alone (GNU OpenMP; docs/decisions/008-threads.md).
    """
    os.environ.setdefault("GOMP_SPINCOUNT", OPENMP_SPINS)


def model_host_environment() -> dict[str, str]:
    """The environment to start a model host in: what is read before its first line runs.

    It has many threads that come and go. By default glibc gives each an arena of the heap, and
    what was freed in one is not used by another: measured with base after half an hour of speech,
    1.6 GB of private memory by default and 1.2 GB with two arenas, as fast.
    """
    return {"MALLOC_ARENA_MAX": MALLOC_ARENAS, "GOMP_SPINCOUNT": OPENMP_SPINS, **os.environ}


def problems(settings: Settings) -> list[str]:
    """List everything wrong at once, so nobody restarts five times."""
    found = []
    if not settings.sqlalchemy_url.startswith("postgresql+psycopg2://"):
        found.append(
            "DATABASE_URL must be a postgresql:// address: the job core relies on Postgres "
            "(`make up` brings one along)"
        )
    if urlsplit(settings.redis_url).scheme not in ("redis", "rediss", "unix"):
        found.append("REDIS_URL must be a redis:// or rediss:// address of Valkey or Redis")
    if settings.model_pool_max_size < settings.model_pool_size:
        found.append("MODEL_POOL_MAX_SIZE must not be below MODEL_POOL_SIZE")
    if settings.lease_s < 3 * settings.heartbeat_s:
        found.append(
            "LEASE_S must be at least three times HEARTBEAT_S: one beat may be lost and one "
            "late before a job is called abandoned"
        )
    unknown = set(settings.queues) - {*CONSUMED_QUEUES, QUEUE_DLQ}
    if unknown:
        found.append(f"WORKER_QUEUES names unknown queues: {', '.join(sorted(unknown))}")
    found.extend(unreadable(settings))
    found.extend(access_problems(settings))
    return found


def unreadable(settings: Settings) -> list[str]:
    """Settings that hold more than one value each, or a name, and cannot be taken apart."""
    parsed: tuple[tuple[Callable[[], object], str], ...] = (
        (lambda: canonical_model(settings.model_size), "WHISPER_MODEL_SIZE: {}"),
        (
            lambda: settings.weights,
            "CLIENT_WEIGHTS must read client=number, with commas, as in alice=3,bob=0.5: {}",
        ),
        (lambda: settings.aliases, "MODEL_ALIASES must read name=size, as in whisper-1=small: {}"),
        (lambda: settings.allowed_origins, "CORS_ORIGINS: {}; * would let every web page in"),
        (
            lambda: settings.allowed_outside,
            "OUTGOING_ALLOW must read host:port, separated by commas, as in nas.lan:8443: {}",
        ),
    )
    found = []
    for parse, problem in parsed:
        try:
            parse()
        except (ValueError, OptionInvalid) as error:
            found.append(problem.format(error))
    return found


def access_problems(settings: Settings) -> list[str]:
    """What would let strangers in."""
    found = []
    key = settings.admin_api_key
    if not key:
        found.append("ADMIN_API_KEY is required: it may do everything (openssl rand -hex 24)")
    elif len(key) < MIN_ADMIN_KEY_CHARS:
        found.append(f"ADMIN_API_KEY must have at least {MIN_ADMIN_KEY_CHARS} characters")
    elif is_guessable(key):
        found.append("ADMIN_API_KEY can be guessed: take one from openssl rand -hex 24")
    if settings.auth == "off" and not is_loopback(settings.host):
        found.append(
            "AUTH=off lets everybody in who can connect, so HOST must be a loopback address: "
            "127.0.0.1, ::1 or localhost"
        )
    return found


def load_settings(**overrides: object) -> Settings:
    """Read and check the settings. Raises ConfigurationError with every problem in it."""
    try:
        settings = Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
        raise ConfigurationError("; ".join(lines)) from error
    found = problems(settings)
    if found:
        raise ConfigurationError("; ".join(found))
    return settings


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read once."""
    return load_settings()
