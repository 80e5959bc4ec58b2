"""The audit log: who did what to which job or key. Entries are chained by their hashes.

Whoever acts writes an entry without waiting for anybody. The reconciler then gives the entries
their places and hashes, in the order of the transactions that wrote them: chaining them as they
are written would make all submissions wait for each other. What is changed or removed after that
breaks the chain; what is cut off at its end does not, so `verify` can be told where the end was.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Executable, Text, func, insert, select, update
from sqlalchemy.orm import Session

from domain.access import Principal
from models import AuditEntry
from services.client_stream import horizon
from services.context import Services
from services.prepared import RELAX, Parameters, Prepared

Entry = AuditEntry
entries: Any = AuditEntry.__table__

SEAL_BATCH = 1_000
READ_BATCH = 1_000
BEGINNING = "0" * 64  # the hash before the first entry
SEALER_LOCK = 7_305_005  # any fixed number beside those of the reconciler and the migrations
RECORDED = ("tenant", "actor", "action", "target", "detail")
HASHED = ("id", "at", "tenant", "actor", "action", "target", "detail")


@dataclass(frozen=True)
class AuditView:
    """One entry, sealed or not yet."""

    id: int
    at: datetime
    tenant: str
    actor: str
    action: str
    target: str
    detail: dict[str, Any]
    position: int | None
    chain_hash: str | None


@dataclass(frozen=True)
class Verdict:
    """What a check of the chain found. `problem` is None when every entry is as it was sealed."""

    checked: int
    position: int  # of the last entry that is right
    chain_hash: str
    unsealed: int  # entries too young to have a place
    problem: str | None


def record_action(
    services: Services,
    principal: Principal,
    action: str,
    target: str,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Write that somebody did something. Raises DatabaseUnavailable.

    Its loss in a crash of Postgres is the price of not making each submission wait for the disk
    once more; such a crash loses what was done in the last fraction of a second.
    """
    values = {
        "tenant": principal.tenant,
        "actor": principal.actor,
        "action": action,
        "target": target,
        "detail": dict(detail or {}),
    }
    with services.open_statement() as session:
        RECORD.run(session, values)


def _record(parameter: Parameters) -> Executable:
    values = {name: parameter(name, entries.c[name].type) for name in RECORDED}
    return insert(entries).values(values).returning(RELAX.label("is_relaxed"))


RECORD = Prepared("record_action", _record, returns={"is_relaxed": Text()})


def seal_entries(services: Services) -> int:
    """Chain the entries that no running transaction can come before. Returns how many."""
    with services.open_session() as session:
        if not session.scalar(select(func.pg_try_advisory_xact_lock(SEALER_LOCK))):
            return 0
        rows = session.scalars(
            select(Entry)
            .where(Entry.position.is_(None), Entry.tx < horizon())
            .order_by(Entry.tx, Entry.id)
            .limit(SEAL_BATCH)
        ).all()
        position, before = _end(session)
        for row in rows:
            position, before = position + 1, chain_hash(before, _view(row))
            session.execute(
                update(Entry)
                .where(Entry.id == row.id)
                .values(position=position, chain_hash=before)
                .execution_options(synchronize_session=False)
            )
        return len(rows)


def verify_chain(services: Services, *, expected: tuple[int, str] | None = None) -> Verdict:
    """Recompute every hash. `expected` is a place and its hash, as an earlier check told them."""
    checked, position, before = 0, 0, BEGINNING
    problem = None
    for entry in _sealed(services):
        if entry.position != position + 1:
            problem = f"entries {position + 1} to {(entry.position or 0) - 1} are missing"
            break
        after = chain_hash(before, entry)
        if after != entry.chain_hash:
            problem = f"entry {entry.position} is not as it was sealed"
            break
        checked, position, before = checked + 1, entry.position, after
        if expected and expected[0] == position and expected[1] != after:
            problem = f"entry {position} had another hash before: the chain was written anew"
            break
    if problem is None and expected and expected[0] > position:
        problem = f"the chain ends at {position}, and it once reached {expected[0]}"
    with services.open_session() as session:
        unsealed = session.scalar(
            select(func.count()).select_from(Entry).where(Entry.position.is_(None))
        )
    return Verdict(checked, position, before, unsealed or 0, problem)


def list_entries(
    services: Services,
    *,
    tenant: str | None = None,
    target: str | None = None,
    before_id: int | None = None,
    limit: int = 25,
) -> tuple[list[AuditView], int | None]:
    """The newest entries, and the id to go on below, None at the end."""
    query = select(Entry).order_by(Entry.id.desc()).limit(limit + 1)
    if tenant:
        query = query.where(Entry.tenant == tenant)
    if target:
        query = query.where(Entry.target == target)
    if before_id is not None:
        query = query.where(Entry.id < before_id)
    with services.open_session() as session:
        rows = [_view(row) for row in session.scalars(query)]
    page = rows[:limit]
    return page, page[-1].id if len(rows) > limit else None


def chain_hash(before: str, entry: AuditView) -> str:
    """SHA-256, in hex, of the hash before and of all that an entry says."""
    said = {name: getattr(entry, name) for name in HASHED}
    said["at"] = entry.at.astimezone(UTC).isoformat(timespec="microseconds")
    body = json.dumps(said, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(f"{before}\n{body}".encode()).hexdigest()


def _end(session: Session) -> tuple[int, str]:
    last = session.execute(
        select(Entry.position, Entry.chain_hash)
        .where(Entry.position.is_not(None))
        .order_by(Entry.position.desc())
        .limit(1)
    ).one_or_none()
    return (0, BEGINNING) if last is None else (last[0] or 0, last[1] or BEGINNING)


def _sealed(services: Services) -> Iterator[AuditView]:
    """All sealed entries in order, some at a time."""
    after = 0
    while True:
        with services.open_session() as session:
            query = select(Entry).where(Entry.position > after).order_by(Entry.position)
            found = [_view(row) for row in session.scalars(query.limit(READ_BATCH))]
        yield from found
        if len(found) < READ_BATCH:
            return
        after = found[-1].position or 0


def _view(row: AuditEntry) -> AuditView:
    return AuditView(
        **{name: getattr(row, name) for name in AuditView.__dataclass_fields__},
    )
