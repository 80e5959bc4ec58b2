"""What webhooks tell of, and from which lines of a job's history."""

from collections.abc import Iterable, Sequence

from domain.errors import OptionInvalid

PROGRESS = "progress"
TEST = "test"  # sent on request, of no job

EVENTS = (
    "queued",
    "started",
    PROGRESS,
    "completed",
    "failed",
    "dead_lettered",
    "cancelled",
)
ENDS = ("completed", "failed", "cancelled")  # told when an address names no events

# A job that is given up has failed and is a dead letter: each may be asked for by itself.
EVENTS_OF_LINE = {
    "submitted": ("queued",),
    "requeued": ("queued",),
    "started": ("started",),
    "completed": ("completed",),
    "dead_lettered": ("failed", "dead_lettered"),
    "cancelled": ("cancelled",),
}


def type_of(event: str) -> str:
    """The event as the `type` of a message."""
    return f"webhook.{event}" if event == TEST else f"job.{event}"


def check_events(names: Iterable[str], *, option: str) -> list[str]:
    """Names of events in their order, each once. Raises OptionInvalid.

    `job.completed` is the same as `completed`, since that is how messages name it.
    """
    given = [name.strip().lower().removeprefix("job.") for name in names]
    unknown = [name for name in given if name not in EVENTS]
    if unknown:
        raise OptionInvalid(f"{option} names an unknown event", option=option, allowed=list(EVENTS))
    if not given:
        raise OptionInvalid(f"{option} names no event", option=option, allowed=list(EVENTS))
    return [event for event in EVENTS if event in given]


def wants(events: Sequence[str] | None, event: str) -> bool:
    """Whether an address that asked for these events, or for none, is told of this one."""
    return event in (ENDS if events is None else events)
