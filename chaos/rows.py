"""What the attack reads from the server's own database."""

from typing import Any
from uuid import UUID

import psycopg2
from psycopg2.extras import register_uuid

from chaos.history import Event, Job, Ledger, Result
from services.reconciler import LEADER_LOCK

CONNECT_TIMEOUT_S = 2
ADVANCED_SHARE = 0.6  # of the median attempt
ATTACKED = "speech%-%"  # file names of the jobs under attack; the undisturbed run has no dash
UNDISTURBED = "speech__.wav"
EVENTS = (
    "SELECT e.id, e.job_id, e.event, e.status, e.attempt, e.actor, "
    "extract(epoch FROM e.at)::float8 FROM job_events e"
)
AWAY = (psycopg2.OperationalError, psycopg2.InterfaceError)  # the database is hurt, too

register_uuid()  # type: ignore[no-untyped-call]


class Database:
    """Short questions, a connection each: the database is restarted between them."""

    def __init__(self, url: str) -> None:
        self._url = url

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows of a statement. Raises one of AWAY when the database does not answer."""
        connection = psycopg2.connect(
            self._url, connect_timeout=CONNECT_TIMEOUT_S, options="-c statement_timeout=10000"
        )
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement, values)
                return cursor.fetchall()
        finally:
            connection.close()

    def answers(self) -> bool:
        """Whether it takes a connection now."""
        try:
            return bool(self.query("SELECT 1"))
        except AWAY:
            return False

    def statuses(self) -> dict[str, int]:
        """The number of jobs in each status."""
        return dict(self.query("SELECT status, count(*) FROM transcription_jobs GROUP BY 1"))

    def leases(self) -> dict[UUID, str]:
        """Who holds which job."""
        return dict(
            self.query("SELECT id, lease_owner FROM transcription_jobs WHERE status = 'processing'")
        )

    def advanced(self) -> set[UUID]:
        """Jobs that run and have probably come more than half of their way."""
        rows = self.query(
            "SELECT id FROM transcription_jobs WHERE status = 'processing' AND "
            "clock_timestamp() - started_at > (SELECT %s * percentile_cont(0.5) WITHIN GROUP "
            "(ORDER BY completed_at - started_at) FROM transcription_jobs "
            "WHERE status = 'completed')",
            ADVANCED_SHARE,
        )
        return {job_id for (job_id,) in rows}

    def waiting(self) -> list[UUID]:
        """Jobs that could start now."""
        rows = self.query(
            "SELECT id FROM transcription_jobs WHERE status = 'pending' AND next_attempt_at IS NULL"
        )
        return [job_id for (job_id,) in rows]

    def unfinished(self) -> list[UUID]:
        """Jobs that wait or run."""
        rows = self.query(
            "SELECT id FROM transcription_jobs WHERE status IN ('pending', 'processing')"
        )
        return [job_id for (job_id,) in rows]

    def children(self, parent_pid: int) -> set[int]:
        """Process ids of a worker's children that have reported."""
        rows = self.query(
            "SELECT pid FROM worker_processes WHERE split_part(id, '/', 1) LIKE %s",
            f"%:{parent_pid}",
        )
        return {pid for (pid,) in rows}

    def leader_port(self) -> int | None:
        """The local port of the reconciler that leads; None when nobody does."""
        rows = self.query(
            "SELECT a.client_port FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
            "WHERE l.locktype = 'advisory' AND l.granted AND l.objid = %s",
            LEADER_LOCK,
        )
        return int(rows[0][0]) if rows else None

    def events_after(self, at: float) -> list[Event]:
        """The history of all jobs after a moment."""
        return self._events("WHERE e.at > to_timestamp(%s)", at)

    def ledger(self, names: str = ATTACKED) -> Ledger:
        """Jobs with such file names, their results and their histories."""
        jobs = self.query(
            "SELECT id, original_filename, status, attempt, max_attempts, lease_token, error_type "
            "FROM transcription_jobs WHERE original_filename LIKE %s ORDER BY created_at, id",
            names,
        )
        results = self.query(
            "SELECT r.job_id, r.attempt, r.lease_token, r.transcription_text "
            "FROM transcription_results r JOIN transcription_jobs j ON j.id = r.job_id "
            "WHERE j.original_filename LIKE %s",
            names,
        )
        events = self._events(
            "JOIN transcription_jobs j ON j.id = e.job_id WHERE j.original_filename LIKE %s", names
        )
        return Ledger([Job(*row) for row in jobs], [Result(*row) for row in results], events)

    def _events(self, condition: str, value: object) -> list[Event]:
        rows = self.query(f"{EVENTS} {condition} ORDER BY e.id", value)
        return [Event(*row) for row in rows]
