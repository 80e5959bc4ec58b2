"""Trying again: how long, how often, and what the user is told meanwhile."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from client.errors import ServerUnreachable

T = TypeVar("T")
Note = Callable[[str], None]

FIRST_DELAY_S = 0.5
MAX_DELAY_S = 8.0
# A server that never answered is more likely a wrong address than a restart.
FIRST_CONTACT_S = 5.0
RESTART_S = 120.0
SAME_NOTE_S = 10.0  # many files meet the same trouble at once: one note is enough


class TroubleMayPass(Exception):
    """The request can be made again without harm."""

    def __init__(
        self, reason: str, *, is_answer: bool = False, retry_after_s: float | None = None
    ) -> None:
        super().__init__(reason)
        self.is_answer = is_answer  # the server itself said so
        self.retry_after_s = retry_after_s


@dataclass
class Patience:
    """Makes requests again while the trouble may pass. Shared by all files of one run."""

    note: Note
    timeout_s: float | None = None  # None: short before the first answer, longer after it
    has_been_answered: bool = False
    _noted_at: dict[str, float] = field(default_factory=dict)

    @property
    def limit_s(self) -> float:
        """How long one request may keep failing, in seconds."""
        if self.timeout_s is not None:
            return self.timeout_s
        return RESTART_S if self.has_been_answered else FIRST_CONTACT_S

    async def call(self, request: Callable[[], Awaitable[T]]) -> T:
        """Return the request's answer. Raises ServerUnreachable when patience runs out."""
        failed_since: float | None = None
        delay_s = FIRST_DELAY_S
        while True:
            try:
                answer = await request()
            except TroubleMayPass as trouble:
                self.has_been_answered |= trouble.is_answer
                failed_since = failed_since or time.monotonic()
                left_s = self.limit_s - (time.monotonic() - failed_since)
                if left_s <= 0:
                    raise ServerUnreachable(str(trouble)) from trouble
                pause_s = min(left_s, trouble.retry_after_s or delay_s)
                self._note_once(
                    f"{trouble}; trying again for up to {round(left_s)} s", str(trouble)
                )
                await asyncio.sleep(pause_s)
                delay_s = min(MAX_DELAY_S, delay_s * 2)
            else:
                self.has_been_answered = True
                if failed_since is not None:
                    self._note_once("the server answers again")
                return answer

    def _note_once(self, text: str, subject: str | None = None) -> None:
        now = time.monotonic()
        subject = subject or text
        if now - self._noted_at.get(subject, float("-inf")) > SAME_NOTE_S:
            self.note(text)
        self._noted_at[subject] = now
