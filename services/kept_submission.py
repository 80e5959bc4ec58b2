"""A submission as plain JSON, for a recording that becomes a job only later."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any
from uuid import UUID

from domain.lifecycle import Priority
from domain.submission import Submission

APART = frozenset({"tenant", "key_id", "batch_id"})  # no JSON, and columns where they are needed


def keep_submission(submission: Submission) -> dict[str, Any]:
    """Everything but whose it is, as JSON types."""
    values = {f.name: getattr(submission, f.name) for f in fields(submission)}
    return {
        name: dict(value) if isinstance(value, Mapping) else value
        for name, value in values.items()
        if name not in APART
    }


def restore_submission(kept: Mapping[str, Any], tenant: str, key_id: UUID | None) -> Submission:
    """Undo `keep_submission`; a field that did not exist then has its default."""
    known = {f.name for f in fields(Submission)} - APART
    values = {name: value for name, value in kept.items() if name in known}
    values["priority"] = Priority(values["priority"])
    return Submission(**values, tenant=tenant, key_id=key_id)
