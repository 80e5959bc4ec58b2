"""The small commands: status, cancel, list, result, errors."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from client.api import Params, Server
from client.contract import Job
from client.delivery import write_stdout
from client.errors import EXIT_FAILED, EXIT_OK, ClientError, worst_exit_code
from client.files import readable_name, write_output
from client.patience import Patience
from client.progress import error_console, print_error, print_warning
from client.settings import Connection
from client.track import Track, format_span, summary_of, warnings_of

STATUS_STYLES = {
    "pending": "",
    "processing": "cyan",
    "completed": "green",
    "failed": "red",
    "cancelled": "yellow",
}


def open_server(connection: Connection, console: Console) -> Server:
    """The server of one command; its notes go to standard error."""
    patience = Patience(
        lambda text: console.print(Text(text, "dim"), soft_wrap=True), connection.timeout
    )
    return Server(connection.server, connection.key, patience)


async def show_status(connection: Connection, job_ids: Iterable[str]) -> int:
    """Print where each job stands; 1 when one of them failed or was cancelled."""
    console, codes = error_console(), [EXIT_OK]
    async with open_server(connection, console) as server:
        for job_id in job_ids:
            try:
                job = await server.get_job(job_id)
            except ClientError as error:
                print_error(console, error, job_id)
                codes.append(error.exit_code)
            else:
                print(f"{job.id}  {job.status}  {_outcome(job)}".rstrip())
                codes.append(EXIT_FAILED if job.is_finished and not job.is_completed else EXIT_OK)
                for text in warnings_of(job):
                    print_warning(console, f"{job.id}: {text}")
    return worst_exit_code(codes)


async def cancel_jobs(connection: Connection, job_ids: Iterable[str]) -> int:
    """Cancel each job; 4 when the server refused one, most often because it has ended."""
    console, codes = error_console(), [EXIT_OK]
    async with open_server(connection, console) as server:
        for job_id in job_ids:
            try:
                await server.cancel_job(job_id)
            except ClientError as error:
                print_error(console, error, job_id)
                codes.append(error.exit_code)
            else:
                print(f"{job_id}  cancelled")
    return worst_exit_code(codes)


async def show_jobs(connection: Connection, filters: Params, limit: int) -> int:
    """Print the newest jobs that pass the filters, at most `limit`."""
    jobs: list[Job] = []
    more, cursor = True, None
    async with open_server(connection, error_console()) as server:
        while more and len(jobs) < limit:
            page_filters = {**filters, "limit": str(min(100, limit - len(jobs)))}
            page = await server.list_jobs(page_filters | ({"cursor": cursor} if cursor else {}))
            jobs += page.jobs
            cursor = page.next_cursor
            more = page.has_more and cursor is not None
    rows = [
        (
            job.id,
            Text(job.status, STATUS_STYLES.get(job.status, "")),
            _minute(job.created_at),
            format_span(job.audio_s) if job.audio_s else "",
            job.model_used or job.model_requested or "",
            job.language or "",
            readable_name(job.filename or ""),
        )
        for job in jobs
    ]
    _print_rows(("job", "status", "submitted", "length", "model", "language", "file"), rows)
    if more:
        error_console().print(Text("there are more: --limit shows them", "dim"))
    return EXIT_OK


async def save_result(
    connection: Connection, job_id: str, wanted: Params, output: str | None, *, force: bool
) -> int:
    """Print the transcript of a completed job, or write it to a file."""
    async with open_server(connection, error_console()) as server:
        content = await server.get_result(job_id, wanted)
    if output is None:
        write_stdout(content if content.endswith(b"\n") else content + b"\n")
    else:
        write_output(Path(output), content, force=force)
    return EXIT_OK


async def show_errors(connection: Connection, filters: Params) -> int:
    """Print the newest dead letters. Needs the admin key."""
    async with open_server(connection, error_console()) as server:
        errors = await server.list_errors(filters)
    _print_rows(("id", "job", "type", "at", "resolved", "message"), map(_error_row, errors))
    return EXIT_OK


def _error_row(item: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(item.get("id", "")),
        str(item.get("job_id", "")),
        str(item.get("type", "")),
        _minute(item.get("created_at")),
        "yes" if item.get("resolved") else "no",
        readable_name(str(item.get("message", ""))),
    )


def _print_rows(heads: tuple[str, ...], rows: Iterable[tuple[str | Text, ...]]) -> None:
    """A table for people on a terminal, else one line per row with tabs between."""
    if not sys.stdout.isatty():
        for row in rows:
            print("\t".join(map(str, row)))
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for head in heads:
        table.add_column(head, no_wrap=head in ("job", "status", "submitted"), overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    Console(highlight=False).print(table)


def _outcome(job: Job) -> str:
    if job.is_completed:
        return summary_of(job)
    if job.is_finished:
        return readable_name(job.error_message or "")
    track = Track(job.filename or "")
    track.note_job(job, 0.0)
    share = f"{job.progress:.0%}" if track.is_running else ""
    left = f"{format_span(job.time_left_s)} left" if job.time_left_s else ""
    return ", ".join(filter(None, (track.state_words(), share, left, track.detail_words(0.0))))


def _minute(moment: str | None) -> str:
    return (moment or "")[:16].replace("T", " ")
