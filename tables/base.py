"""What all tables are made of."""

from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase

JOB_ID = "transcription_jobs.id"
THIS_TRANSACTION = text("(pg_current_xact_id()::text)::bigint")


class Base(DeclarativeBase):
    """Base of every table; maps Python types to Postgres types once."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own declaration style
        str: Text,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[dict[str, Any]]: JSONB,
    }


def newest(name: str, *first: str) -> Index:
    """An index for lists that begin with the newest."""
    return Index(name, *first, text("created_at DESC"), text("id DESC"))
