"""What a submission says about a job beside its recording and its options."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from domain.access import DEFAULT_TENANT
from domain.lifecycle import Priority

NATIVE = "native"


def whose_turn(tenant: str, client: str) -> str:
    """Who takes a turn in the queue: the tenant, or a client of the default tenant.

    A client is a name that a request gives itself, so a tenant cannot multiply by naming many.
    """
    return client if tenant == DEFAULT_TENANT else f"tenant:{tenant}"


@dataclass(frozen=True)
class Submission:
    """Whose a job is, by which door it came, and what its owner wants to find with it."""

    tenant: str = DEFAULT_TENANT
    key_id: UUID | None = None
    client: str = ""  # as the request names itself: takes turns, and follows its own jobs
    priority: Priority = Priority.NORMAL
    filename: str | None = None  # as the client named it
    content_type: str | None = None
    request_id: str | None = None
    door: str = NATIVE
    door_fields: Mapping[str, Any] = field(default_factory=dict)  # what only that door reads
    name: str | None = None  # what people call the job
    labels: Mapping[str, Any] = field(default_factory=dict)  # the owner's own; never read by us
    batch_id: UUID | None = None
    webhook: Mapping[str, Any] | None = None  # an address of the job's own: services/webhooks
    idempotency_key: str | None = None
    # Of everything that was asked but the recording; the same key must come with the same.
    fingerprint: str = ""
    reuse_result: bool = False  # take the result of an equal job, where there is one

    def columns(self) -> dict[str, Any]:
        """What the row of the job keeps of it, beside what every job has."""
        return {
            "tenant": self.tenant,
            "key_id": self.key_id,
            "door": self.door,
            "door_fields": dict(self.door_fields),
            "name": self.name,
            "labels": dict(self.labels),
            "batch_id": self.batch_id,
            "webhook": None if self.webhook is None else dict(self.webhook),
        }
