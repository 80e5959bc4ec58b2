"""Queries that must not become slower with all that is kept go by an index of their own."""

from uuid import UUID

import pytest
from sqlalchemy import event, text

import database
from services import assembly_uploads
from services.audit import list_entries
from services.retention import forget_usage
from services.upload_sweeps import WholeUploads
from services.webhooks.cleaning import remove_old_messages
from services.webhooks.pausing import pause, resume

ENDPOINT = UUID(int=1)
LARGE = ("audit_entries", "usage_entries", "webhook_deliveries", "upload_sessions")
FILL = """
INSERT INTO audit_entries (tenant, actor, action, target)
SELECT 'default', 'admin', 'DELETE /x', n::text FROM generate_series(1, 5000) n;
INSERT INTO usage_entries (tenant, job_id, kind, at)
SELECT 'default', gen_random_uuid(), 'submitted', now() - n * interval '1 minute'
FROM generate_series(1, 5000) n;
INSERT INTO webhook_endpoints (id, tenant, url, events, secret)
SELECT lpad(n::text, 32, '0')::uuid, 'default', 'https://example.org', '{completed}', 'whsec_AAAA'
FROM generate_series(1, 50) n;
INSERT INTO webhook_deliveries
    (id, tenant, endpoint_id, job_id, event, source, body, status, created_at, next_attempt_at)
SELECT gen_random_uuid(), 'default', lpad((1 + n % 50)::text, 32, '0')::uuid, gen_random_uuid(),
    'completed', 'x', '{}', CASE WHEN n % 3 = 0 THEN 'waiting' ELSE 'delivered' END, at,
    CASE WHEN n % 2 = 0 THEN at END
FROM generate_series(1, 5000) n, LATERAL (SELECT now() - n * interval '1 minute') moment (at);
INSERT INTO upload_sessions
    (id, tenant, length_bytes, offset_bytes, file_path, upload_metadata, job_id, expires_at)
SELECT gen_random_uuid(), 'default', 1, 1, 'x', '{"options": {}}', gen_random_uuid(),
    now() + n * interval '10 seconds'
FROM generate_series(1, 5000) n;
"""


@pytest.fixture
def filled(services):
    """Services over tables that hold mostly what a query does not ask for."""
    with services.open_session() as session:
        session.execute(text(FILL))
    with database.get_engine().connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(text("VACUUM ANALYZE"))
    return services


def plan_of(act):
    """How Postgres goes about the statements of an act, as it stands before each."""
    lines = []

    def explain(connection, _cursor, statement, parameters, _context, _many):
        if not statement.startswith("EXPLAIN"):
            found = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
            lines.extend(line for (line,) in found)

    engines = [database.get_engine(level) for level in (database.TRANSACTIONS, database.STATEMENTS)]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", explain)
    act()
    for engine in engines:
        event.remove(engine, "before_cursor_execute", explain)
    return "\n".join(lines)


def in_session(act):
    def act_in_session(services):
        with services.open_session() as session:
            act(session)

    return act_in_session


@pytest.mark.parametrize(
    ("act", "index"),
    [
        (lambda services: list_entries(services, target="4711"), "ix_audit_target"),
        (forget_usage, "ix_usage_tenant"),
        (remove_old_messages, "ix_deliveries_tenant"),
        (in_session(lambda session: pause(session, ENDPOINT, "asked")), "ix_deliveries_line"),
        (in_session(lambda session: resume(session, ENDPOINT)), "ix_deliveries_line"),
        (WholeUploads().finish_whole, "ix_uploads_unused"),
        (
            lambda services: assembly_uploads.require_place(services, "default"),
            "ix_uploads_unused",
        ),
    ],
)
def test_what_is_kept_makes_it_no_slower(filled, act, index):
    plan = plan_of(lambda: act(filled))

    assert index in plan
    assert not [table for table in LARGE if f"Seq Scan on {table}" in plan]
