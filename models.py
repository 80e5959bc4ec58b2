"""All that Postgres keeps. The tables stand in tables/, one file per reason to change."""

from tables.base import Base
from tables.jobs import (
    ClientTurn,
    ErrorLog,
    JobEvent,
    TranscriptionJob,
    TranscriptionResult,
    TranscriptionWindow,
)
from tables.operation import (
    StorageAudit,
    StorageFinding,
    WorkerProcess,
)
from tables.submissions import (
    Batch,
    IdempotencyKey,
    UploadSession,
)
from tables.tenants import (
    ApiKey,
    AuditEntry,
    SingleUseToken,
    Tenant,
    UsageEntry,
)
from tables.webhooks import (
    WebhookCursor,
    WebhookDelivery,
    WebhookEndpoint,
)

__all__ = [
    "ApiKey",
    "AuditEntry",
    "Base",
    "Batch",
    "ClientTurn",
    "ErrorLog",
    "IdempotencyKey",
    "JobEvent",
    "SingleUseToken",
    "StorageAudit",
    "StorageFinding",
    "Tenant",
    "TranscriptionJob",
    "TranscriptionResult",
    "TranscriptionWindow",
    "UploadSession",
    "UsageEntry",
    "WebhookCursor",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WorkerProcess",
]
