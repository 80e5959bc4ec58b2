"""What is known about one file on its way, and how it is worded. No terminal here."""

from dataclasses import dataclass, field

from client.contract import Job
from domain.lifecycle import JobStatus, Step
from domain.options import MODEL_ALIASES

STEP_WORDS: dict[str, str] = {
    Step.DECODING_AUDIO: "decoding",
    Step.LOADING_MODEL: "loading model",
    Step.TRANSCRIBING: "transcribing",
    Step.SAVING: "saving",
}
NEARLY_DONE = 0.99  # the estimate alone never fills the bar
MIN_RATE_S = 0.5  # seconds of upload before its speed says anything


@dataclass(eq=False)
class Track:
    """One file's state. Times are seconds of a monotonic clock."""

    name: str
    size_bytes: int = 0
    sent_bytes: int = 0
    upload_started_at: float | None = None
    job: Job | None = None
    job_seen_at: float = 0.0
    shown_share: float = 0.0
    told: set[str] = field(default_factory=set)

    @property
    def is_uploading(self) -> bool:
        """True from the first byte until the server has accepted the job."""
        return self.job is None and self.upload_started_at is not None

    @property
    def is_queued(self) -> bool:
        """True while the job waits on the server."""
        return self.job is not None and self.job.status == JobStatus.PENDING

    @property
    def is_running(self) -> bool:
        """True while a worker has the job."""
        return self.job is not None and self.job.status == JobStatus.PROCESSING

    def note_sent(self, sent_bytes: int, now: float) -> None:
        """Record upload progress; 0 bytes starts a new try."""
        if sent_bytes == 0 or self.upload_started_at is None:
            self.upload_started_at = now
        self.sent_bytes = sent_bytes

    def note_job(self, job: Job, now: float) -> list[str]:
        """Record what the server said; the warnings that are new in it."""
        if self.job and job.attempt != self.job.attempt:
            self.shown_share = 0.0
        self.job, self.job_seen_at = job, now
        new = [text for text in warnings_of(job) if text not in self.told]
        self.told.update(new)
        return new

    def share(self, now: float) -> float:
        """How full the bar is, 0 to 1. Moves on by the server's estimate between answers."""
        if self.job is None:
            return min(1.0, self.sent_bytes / self.size_bytes) if self.size_bytes else 0.0
        share = 1.0 if self.job.is_completed else self.job.progress
        if self.is_running and self.job.time_left_s:
            passed = min(1.0, (now - self.job_seen_at) / self.job.time_left_s)
            share = min(NEARLY_DONE, share + (1 - share) * passed)
        self.shown_share = max(self.shown_share, share)  # a bar that moves back looks broken
        return self.shown_share

    def time_left_s(self, now: float) -> float | None:
        """Seconds until the upload or the job is done, None while unknown."""
        if self.job is None:
            rate = self.upload_rate(now) if self.sent_bytes < self.size_bytes else None
            return (self.size_bytes - self.sent_bytes) / rate if rate else None
        if not self.is_running or self.job.time_left_s is None:
            return None
        return max(0.0, self.job.time_left_s - (now - self.job_seen_at))

    def upload_rate(self, now: float) -> float | None:
        """Bytes per second of this upload, None while it is too young."""
        if self.upload_started_at is None or now - self.upload_started_at < MIN_RATE_S:
            return None
        return self.sent_bytes / (now - self.upload_started_at) or None

    def state_words(self) -> str:
        """What is happening, in one or two words."""
        if self.job is None:
            if self.upload_started_at is None:
                return "waiting"
            return "uploading" if self.sent_bytes < self.size_bytes else "checking"
        if self.job.is_finished:
            return self.job.status
        if self.job.waits_for_retry:
            return "will retry"
        if self.is_queued:
            return "queued"
        return STEP_WORDS.get(self.job.step or "", "working")

    def detail_words(self, now: float) -> str:
        """The number worth knowing in this state: bytes, queue position, attempt or speed."""
        if self.job is None:
            if self.upload_started_at is None:
                return ""
            rate = self.upload_rate(now) if self.sent_bytes < self.size_bytes else None
            return f"{format_bytes(rate)}/s" if rate else format_bytes(self.size_bytes)
        if self.is_queued and self.job.attempt:
            of = f" of {self.job.max_attempts}" if self.job.max_attempts else ""
            return f"attempt {self.job.attempt + 1}{of}"
        if self.is_queued:
            position = self.job.queue_position
            return f"position {position}" if position is not None else ""
        speed_x = self.job.speed
        return f"{format_speed(speed_x)}" if speed_x else ""


def warnings_of(job: Job) -> list[str]:
    """Everything about the job that its user must hear, as sentences."""
    sentences = [*job.fallbacks, *job.warnings]
    asked, used = job.model_requested, job.model_used
    if not job.fallbacks and asked and used and MODEL_ALIASES.get(asked, asked) != used:
        sentences.append(f"{used} was used instead of {asked}")
    if job.waits_for_retry and job.error_message:
        sentences.append(f"attempt {job.attempt} failed: {job.error_message}")
    return sentences


def summary_of(job: Job) -> str:
    """One line on a completed job: how much audio, how fast, in which language."""
    parts = []
    if job.audio_s and job.wall_s:
        speed = f" ({format_speed(job.speed)})" if job.speed else ""
        parts.append(f"{format_length(job.audio_s)} of audio in {format_length(job.wall_s)}{speed}")
    elif job.audio_s:
        parts.append(f"{format_length(job.audio_s)} of audio")
    parts.extend(filter(None, (job.model_used, job.language)))
    return ", ".join(parts) or "done"


def format_span(seconds: float) -> str:
    """1:05 or 1:01:05; below a minute 0:05."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def format_length(seconds: float) -> str:
    """As `format_span`, but 6.7 s below a minute, where whole seconds say too little."""
    return f"{seconds:.1f} s" if seconds < 59.95 else format_span(seconds)  # noqa: PLR2004 - rounds


def format_bytes(size: float) -> str:
    """Decimal units with three digits at most: 950 B, 1.5 kB, 29.5 MB, 120 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5 or unit == "GB":  # noqa: PLR2004 - rounds to 1000
            break
        size /= 1000
    decimals = 0 if unit == "B" or size >= 99.95 else 1  # noqa: PLR2004 - rounds to 100.0
    return f"{size:.{decimals}f} {unit}"


def format_speed(speed: float | None) -> str:
    """Audio seconds per wall second: 8.4x, 120x."""
    if speed is None:
        return ""
    return f"{speed:.1f}x" if speed < 99.95 else f"{speed:.0f}x"  # noqa: PLR2004 - as above
