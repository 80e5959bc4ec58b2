"""Fills the tables with what years of work leave behind, by Postgres alone."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from hashlib import md5
from uuid import UUID

from benchmarks.core_stack import TABLES, Stack
from domain.options import TranscriptionOptions
from domain.transcript import Segment

CLIENTS = 200
MINUTE = 12  # segments in a minute of speech
SEGMENT_S = 5.0
WORDS = ("the", "court", "of", "appeal", "heard", "that", "speech", "recorded", "in", "rooms",
         "with", "hard", "walls", "is", "often", "harder", "to", "follow", "than", "people",
         "expect", "because", "every", "word", "arrives", "twice")  # fmt: skip
LEASED = 50
EXPIRED = 20  # of the leased
DUE = 200  # retries whose time has come; ten times as many wait for theirs
UNHEARD = 70  # were never rung for: the leased ones, and a few more

A_YEAR = 364  # days
# A row's id follows from its number, so that its result and its events are found again.
ROW_ID = """
CREATE OR REPLACE FUNCTION pg_temp.row_id(n bigint) RETURNS uuid IMMUTABLE LANGUAGE sql
AS $$ SELECT md5('row ' || n)::uuid $$
"""
# From `days` ago until yesterday: nine tenths completed, the rest failed and cancelled.
JOBS = """
INSERT INTO transcription_jobs (id, status, priority, client, rank, turn, waiting_since,
    model_size, language, options, original_filename, content_type, file_path, size_bytes,
    sha256, duration_s, request_id, attempt, lease_token, published_at, progress, current_step,
    error_type, error_message, created_at, updated_at, started_at, completed_at)
SELECT pg_temp.row_id(n), CASE WHEN mod(n, 100) < 90 THEN 'completed'
        WHEN mod(n, 100) < 96 THEN 'failed' ELSE 'cancelled' END,
    least(mod(n, 10), 1), 'client-' || mod(n, %(clients)s), least(mod(n, 10), 1),
    n / %(clients)s, at, 'base', 'en', %(options)s, 'recording ' || n || '.wav', 'audio/x-wav',
    replace(pg_temp.row_id(n)::text, '-', ''), 1920044, md5('a' || n) || md5('b' || n), 60,
    md5('request ' || n), 1, 1, at, 1, 'done',
    CASE WHEN mod(n, 100) BETWEEN 90 AND 95 THEN 'audio_unreadable' END,
    CASE WHEN mod(n, 100) BETWEEN 90 AND 95 THEN 'the decoder could not make samples of it' END,
    at, at + interval '70 s', at + interval '30 s', at + interval '70 s'
FROM (SELECT n, now() - interval '1 day' - random() * %(days)s * interval '1 day' AS at
      FROM generate_series(%(first)s::bigint, %(last)s) AS n) AS made
"""
RESULTS = """
INSERT INTO transcription_results (job_id, attempt, lease_token, transcription_text, language,
    language_probability, duration, word_count, confidence, segments, task, model_requested,
    model_used, engine, device, fallbacks, warnings, timings, transcribe_s, created_at)
SELECT job.id, 1, 1, %(text)s, 'en', 0.98, 60, 150, 0.9, %(segments)s, 'transcribe',
    'base', 'base', 'openai_whisper', 'cpu', '[]', '[]', '{"transcribe_s": 5.2}', 5.2,
    job.completed_at
FROM generate_series(%(first)s::bigint, %(last)s) AS n
JOIN transcription_jobs AS job ON job.id = pg_temp.row_id(n)
WHERE job.status = 'completed'
"""
# Events of the past: their transactions are older than any that runs.
EVENTS = """
INSERT INTO job_events (job_id, tx, event, status, attempt, actor, detail, at)
SELECT job.id, 3 * (n - %(total)s) + step, what, state, least(step, 1), who, '{}',
    job.created_at + step * interval '30 s'
FROM generate_series(%(first)s::bigint, %(last)s) AS n
JOIN transcription_jobs AS job ON job.id = pg_temp.row_id(n)
CROSS JOIN LATERAL (VALUES (-2, 'submitted', 'pending', 'api'),
    (-1, 'started', 'processing', 'host:1/2'),
    (0, CASE job.status WHEN 'failed' THEN 'dead_lettered' ELSE job.status END, job.status,
     'host:1/2')) AS line (step, what, state, who)
"""
ERRORS = """
INSERT INTO error_logs (job_id, error_type, error_class, error_message, reason, stack_trace,
    retry_count, options, worker_id, memory_mb, resolved, created_at)
SELECT job.id, job.error_type, 'AudioUnreadable', job.error_message, 'permanent error',
    repeat('  File "audio/decode.py", line 100, in decode' || chr(10), 20), 0, job.options,
    'host:1/2', 512, mod(n, 200) < 100, job.completed_at
FROM generate_series(%(first)s::bigint, %(last)s) AS n
JOIN transcription_jobs AS job ON job.id = pg_temp.row_id(n)
WHERE job.status = 'failed'
"""
TURNS = """
INSERT INTO client_turns (client, rank, turn)
SELECT 'client-' || n, rank, 1000000 + n FROM generate_series(0, %(clients)s - 1) AS n,
    generate_series(0, 2) AS rank
ON CONFLICT DO NOTHING
"""
# The bell was rung for half of them an hour ago or more, for a few never: the sweep has work.
WAITING = """
INSERT INTO transcription_jobs (id, status, priority, client, rank, turn, waiting_since,
    model_size, options, original_filename, file_path, size_bytes, sha256, duration_s, attempt,
    lease_token, published_at, next_attempt_at, created_at, updated_at)
SELECT pg_temp.row_id(n), 'pending', least(mod(n, 10), 1), 'client-' || mod(n, %(clients)s),
    CASE WHEN mod(n, 10) = 0 THEN 0 WHEN mod(n, 10) = 9 THEN 2 ELSE 1 END, n / %(clients)s, at,
    'base', %(options)s, 'recording ' || n || '.wav',
    replace(pg_temp.row_id(n)::text, '-', ''), 1920044, md5('a' || n) || md5('b' || n), 60,
    CASE WHEN mod(n, 10) = 9 THEN 1 ELSE 0 END, 1,
    CASE WHEN n - %(first)s < %(unheard)s THEN NULL WHEN mod(n, 2) = 0 THEN at ELSE now() END,
    CASE WHEN mod(n, 10) = 9 AND n - %(first)s < 100 * %(due)s THEN now() +
        (CASE WHEN mod(n, 100) = 9 THEN -1 ELSE 1 END) * interval '1 h' END,
    at, at
FROM (SELECT n, now() - interval '1 h' - random() * interval '20 h' AS at
      FROM generate_series(%(first)s::bigint, %(last)s) AS n) AS made
"""
PROCESSING = """
UPDATE transcription_jobs SET status = 'processing', attempt = attempt + 1,
    next_attempt_at = NULL, lease_owner = 'host:1/' || (n - %(first)s), started_at = now(),
    lease_expires_at = now() + CASE WHEN n - %(first)s < %(expired)s THEN interval '-1 min'
                                    ELSE interval '1 h' END
FROM generate_series(%(first)s::bigint, %(first)s + %(leased)s - 1) AS n
WHERE id = pg_temp.row_id(n)
"""
NUMBERS = {
    "clients": CLIENTS,
    "leased": LEASED,
    "expired": EXPIRED,
    "due": DUE,
    "unheard": UNHEARD,
}


def row_id(number: int) -> UUID:
    """The id of the job with this number."""
    return UUID(md5(f"row {number}".encode(), usedforsecurity=False).hexdigest())


def empty(stack: Stack) -> None:
    """Leave nothing in any table."""
    stack.execute(f"TRUNCATE {', '.join(TABLES)} RESTART IDENTITY CASCADE")


def add_finished(
    stack: Stack, first: int, last: int, *, total: int, segments: int = MINUTE, days: int = A_YEAR
) -> None:
    """Add finished jobs with these numbers, of that many days, with all that belongs to them.

    `total` is how many there will be in the end, `segments` the length of each result.
    """
    if first > last:
        return
    values = {"first": first, "last": last, "total": total, "days": days, **_content(segments)}
    _fill(stack, (JOBS, RESULTS, EVENTS, ERRORS, TURNS), values)


def add_waiting(stack: Stack, first: int, last: int) -> None:
    """Add jobs that wait, the oldest for twenty hours, and a few that are being worked on."""
    values = {"first": first, "last": last, **_content(0)}
    _fill(stack, (WAITING, PROCESSING), values)


def remove_waiting(stack: Stack) -> None:
    """Leave finished jobs alone."""
    stack.execute("DELETE FROM transcription_jobs WHERE status IN ('pending', 'processing')")


def tidy(stack: Stack) -> None:
    """Do what autovacuum does in its time: without it plans would rest on guesses."""
    stack.execute(*(f"VACUUM (ANALYZE) {table}" for table in TABLES))


def _fill(stack: Stack, statements: Sequence[str], values: Mapping[str, object]) -> None:
    with stack.connect() as connection, connection.cursor() as cursor:
        # The rows fit each other by construction: no need to look each one up.
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(ROW_ID)
        for statement in statements:
            cursor.execute(statement, {**NUMBERS, **values})


def _content(segment_count: int) -> dict[str, object]:
    dice = random.Random(1)  # noqa: S311 - the same text in every run
    texts = [" " + " ".join(dice.choices(WORDS, k=13)) + "." for _ in range(segment_count)]
    segments = [asdict(_segment(number, text, dice)) for number, text in enumerate(texts)]
    return {
        "options": json.dumps(TranscriptionOptions("base").to_dict()),
        "text": "".join(texts),
        "segments": json.dumps(segments),
    }


def _segment(number: int, text: str, dice: random.Random) -> Segment:
    return Segment(
        id=number,
        seek=0,
        start=number * SEGMENT_S,
        end=(number + 1) * SEGMENT_S,
        text=text,
        tokens=tuple(dice.randrange(50_000) for _ in range(16)),
        temperature=0.0,
        avg_logprob=-dice.random(),
        compression_ratio=1 + dice.random(),
        no_speech_prob=dice.random() / 10,
        words=None,
    )
