"""One job as a stream of events, to be gone on with from any of them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from domain.errors import JobNotFound, OptionInvalid
from domain.lifecycle import TERMINAL, JobStatus
from models import JobEvent
from services.context import Services
from services.event_feed import RESETS, JobNews, Transition, Wanted, read_news, snapshot
from services.histories import shown_detail
from services.jobs import find_job
from services.queue_positions import QueuePositions
from services.stream_event import StreamEvent

SEGMENTS_PER_EVENT = 100
ENDS = frozenset({"completed", "dead_lettered", "cancelled"})
SHOWN_CHARS = 40  # of a client's own value, repeated in a message

Places = Mapping[UUID, int]
Segments = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class JobCursor:
    """How far a reader is: the last line of history and the number of segments it has."""

    event_id: int = 0
    segments: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Undo `str`; an empty text is the beginning. Raises OptionInvalid."""
        if not text:
            return cls()
        found = re.fullmatch(r"([0-9]{1,18})\.([0-9]{1,9})", text)
        if found is None:
            raise id_invalid(text)
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.event_id}.{self.segments}"


def id_invalid(text: str) -> OptionInvalid:
    """The refusal of an id that this stream never gave."""
    return OptionInvalid(
        "Last-Event-ID is not an id of this stream",
        option="Last-Event-ID",
        value=text[:SHOWN_CHARS],
    )


class JobStream:
    """Turns news of a job into events, each once, from a cursor on. For one thread at a time."""

    def __init__(self, job_id: UUID, cursor: JobCursor) -> None:
        self.job_id = job_id
        self.is_over = False
        self._event_id = cursor.event_id
        self._segments = cursor.segments
        self._next_window = 0
        self._in_windows = 0  # segments of the windows before the next one
        self._said: object = None  # what was last said of the progress
        self._place: int | None = None

    @property
    def wanted(self) -> Wanted:
        """What the stream has already."""
        return Wanted(self.job_id, self._event_id, self._next_window, self._segments)

    @property
    def mark(self) -> str:
        """The id of the last event."""
        return f"{self._event_id}.{self._segments}"

    def take(self, news: JobNews | None, places: Places) -> list[StreamEvent]:
        """The events that the news make. None is the news that the job is gone."""
        if news is None:
            self.is_over = True
            return []
        new = [line for line in news.transitions if line.id > self._event_id]
        self.is_over = news.status in TERMINAL
        if self.is_over and self._event_id == 0:
            new = _with_end(new, news)
        cut = _before_end(new) if self.is_over else len(new)
        place = places.get(self.job_id)
        events = self._tell(new[:cut], news, place)
        events += self._tell_segments(news)
        events += self._tell(new[cut:], news, place)
        return events if self.is_over else events + self._tell_changes(news, place)

    def _tell(
        self, lines: Sequence[Transition], news: JobNews, place: int | None
    ) -> list[StreamEvent]:
        events = []
        for line in lines:
            if line.event == "dead_lettered":
                # Under the id before: a reader that loses the next event gets both again.
                events.append(self._event("failed", _failure(line)))
            self._event_id = line.id
            if line.event in RESETS:
                self._segments = self._next_window = self._in_windows = 0
            if line.event == "submitted":
                self._place = place
                events.append(self._event("queued", {"position": place, **_facts(line)}))
            elif line.event == "completed":
                events.append(self._event("completed", {**_facts(line), **_result_facts(news)}))
            else:
                events.append(self._event(line.event, _facts(line)))
        return events

    def _tell_segments(self, news: JobNews) -> list[StreamEvent]:
        events = []
        found = self._new_segments(news)
        for start in range(0, len(found), SEGMENTS_PER_EVENT):
            some = [_shown(segment) for segment in found[start : start + SEGMENTS_PER_EVENT]]
            self._segments += len(some)
            events.append(self._event("segments", {"segments": some}))
        return events

    def _new_segments(self, news: JobNews) -> Segments:
        if news.result is not None:
            return news.result.segments[max(0, self._segments - news.result.first) :]
        found: list[Mapping[str, Any]] = []
        for window in news.windows:
            if window.number == self._next_window:
                found += window.segments[max(0, self._segments - self._in_windows) :]
                self._next_window += 1
                self._in_windows += len(window.segments)
        return found

    def _tell_changes(self, news: JobNews, place: int | None) -> list[StreamEvent]:
        """What is no transition: the place in the queue, and the progress."""
        events = []
        if news.is_in_line and place != self._place:
            self._place = place
            events.append(self._event("queued", {"position": place, "status": news.status}))
        said = (news.attempt, news.progress, news.current_step)
        if news.status == JobStatus.PROCESSING and said != self._said:
            self._said = said
            events.append(
                self._event(
                    "progress",
                    {
                        "progress": news.progress,
                        "current_step": news.current_step,
                        "time_left_s": news.time_left_s,
                        "attempt": news.attempt,
                    },
                )
            )
        return events

    def _event(self, name: str, data: Mapping[str, Any]) -> StreamEvent:
        return StreamEvent(name, data, self.mark)


def open_job_stream(
    services: Services,
    positions: QueuePositions,
    job_id: UUID,
    cursor: JobCursor,
    *,
    tenant: str | None = None,
) -> tuple[JobStream, list[StreamEvent]]:
    """A stream from the cursor on, and what it has to say at once.

    Raises JobNotFound, and OptionInvalid for a cursor of another job.
    """
    stream = JobStream(job_id, cursor)
    with snapshot(services) as session:
        find_job(session, job_id, tenant)
        news = read_news(session, [stream.wanted]).get(job_id)
        if news is None:
            raise JobNotFound("there is no job with this id", job_id=str(job_id))
        if not news.transitions and _is_ahead(session, job_id, cursor):
            raise id_invalid(str(cursor))
        waiting = [job_id] if news.is_in_line else []
        return stream, stream.take(news, positions.read(session, waiting))


def _is_ahead(session: Session, job_id: UUID, cursor: JobCursor) -> bool:
    """Whether the reader claims to know the future. A history that is gone proves nothing."""
    last_id = session.scalar(select(func.max(JobEvent.id)).where(JobEvent.job_id == job_id))
    return last_id is not None and cursor.event_id > last_id


def _with_end(lines: list[Transition], news: JobNews) -> list[Transition]:
    """The history of a finished job, with its end also where that is no longer kept."""
    if news.completed_at is None or any(line.event in ENDS for line in lines):
        return lines
    event_id = max(1, lines[0].id - 1) if lines else 1
    end = Transition(event_id, news.status, news.status, news.attempt, "", {}, news.completed_at)
    return [end, *lines]


def _before_end(lines: Sequence[Transition]) -> int:
    """Where among the last lines of a finished job its segments belong: before its end."""
    place = len(lines)
    for index, line in enumerate(lines):
        if line.event in ENDS:
            place = index
        elif line.event in RESETS:
            place = len(lines)
    return place


def _facts(line: Transition) -> dict[str, Any]:
    facts = {
        "status": line.status,
        "attempt": line.attempt,
        "at": line.at,
        **shown_detail(line.detail),
    }
    if line.event == "started":
        facts["worker"] = line.actor
    if line.event in ("retry", "reaped"):
        facts["next_attempt_at"] = line.at + timedelta(seconds=line.detail.get("after_s", 0))
    return facts


def _failure(line: Transition) -> dict[str, Any]:
    names = ("error_type", "message")
    return {"attempt": line.attempt, **{name: line.detail.get(name) for name in names}}


def _result_facts(news: JobNews) -> dict[str, Any]:
    result = news.result
    if result is None:
        return {}
    return {
        "duration": result.duration_s,
        "model_used": result.model_used,
        "language": result.language,
        "word_count": result.word_count,
        "segments": result.count,
    }


def _shown(segment: Mapping[str, Any]) -> dict[str, Any]:
    names = ("id", "start", "end", "text")
    shown = {name: segment.get(name) for name in names}
    return shown if segment.get("words") is None else {**shown, "words": segment["words"]}
