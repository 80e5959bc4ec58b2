"""Notices work that hangs, that takes far too long, or that does not end when it is told to."""

import time
from collections.abc import Callable
from enum import StrEnum

from config import Settings
from domain.errors import DecodeStalled, EngineError, TimeLimitExceeded
from domain.lifecycle import Step


class StopReason(StrEnum):
    """Why the work on a job has to end early."""

    CANCELLED = "cancelled"
    LEASE_LOST = "lease_lost"
    DRAINING = "draining"
    STALLED = "stalled"
    TIME_LIMIT = "time_limit"


class Watchdog:
    """Watches one attempt. A heartbeat alone would keep the lease of a hung decode for ever.

    Only decoding is watched for progress: loading a model may fetch gigabytes, and ffmpeg
    has a limit of its own.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._seen_at = clock()
        self._is_decoding = False
        self._deadline: float | None = None
        self._stopped_at: float | None = None
        self.reason: StopReason | None = None  # why the work must end; the first one stays

    def see(self, step: object) -> None:
        """Take note of progress; `step` is given when it changed."""
        self._seen_at = self._clock()
        if step is not None:
            self._is_decoding = step == Step.TRANSCRIBING

    def limit(self, duration_s: float) -> None:
        """Start the clock of an attempt at `duration_s` seconds of audio."""
        settings = self._settings
        self._deadline = (
            self._clock() + settings.time_limit_base_s + settings.time_limit_factor * duration_s
        )

    def stop(self, reason: StopReason) -> None:
        """The work must end."""
        if self.reason is None:
            self.reason = reason
            self._stopped_at = self._clock()

    def look(self) -> None:
        """Stop what hangs or takes too long."""
        now = self._clock()
        if self._deadline is not None and now > self._deadline:
            self.stop(StopReason.TIME_LIMIT)
        elif self._is_decoding and now - self._seen_at > self._settings.stall_after_s:
            self.stop(StopReason.STALLED)

    @property
    def is_ignored(self) -> bool:
        """Whether the work was told to end long ago and still goes on."""
        waited_s = 0.0 if self._stopped_at is None else self._clock() - self._stopped_at
        return waited_s > self._settings.kill_stuck_after_s


def error_of(reason: StopReason | None, settings: Settings) -> EngineError | None:
    """The failure behind a stop that nobody asked for."""
    if reason is StopReason.STALLED:
        return DecodeStalled(
            f"the model made no progress for {settings.stall_after_s:.0f} s", phase="transcribing"
        )
    if reason is StopReason.TIME_LIMIT:
        return TimeLimitExceeded("the attempt took longer than its recording's length allows")
    return None
