"""The command line: what can be typed. What it does stands in the other modules."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from client.api import normal_address
from client.commands import cancel_jobs, save_result, show_errors, show_jobs, show_status
from client.files import EXTENSIONS, InputProblem
from client.local_key import find_local_key
from client.settings import Connection, TranscribeSettings
from client.transcribe import transcribe_files

Command = TypeVar("Command", bound=Callable[..., Any])
FORMATS = tuple(EXTENSIONS)
STATUSES = ("pending", "processing", "completed", "failed", "cancelled")
# The server checks these only when the result is asked for, which may be hours later.
LINE_WIDTH = click.IntRange(10, 200)
LINE_COUNT = click.IntRange(1, 10)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 all done, 1 a job failed, 2 usage, 3 server not reachable, "
    "4 refused by the server, 130 or 143 interrupted.",
)
def cli() -> None:
    """Send recordings to a Scriptorium server and bring the transcripts home."""


def with_connection(command: Command) -> Command:
    """Add --server, --key and --timeout; the command gets them as one `connection`."""

    @click.option(
        "--server",
        envvar="SCRIPTORIUM_SERVER",
        default="http://127.0.0.1:8000",
        show_default=True,
        show_envvar=True,
        help="Address of the server.",
    )
    @click.option(
        "--key",
        envvar="SCRIPTORIUM_API_KEY",
        show_envvar=True,
        help="Sent as X-API-Key. A server that `make up` started here needs none named.",
    )
    @click.option("--data-dir", envvar="DATA_DIR", default=".data", type=Path, hidden=True)
    @click.option(
        "--timeout",
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        help="How long to keep trying while the server is away. "
        "Default: 5 until it has answered once, then 120.",
    )
    @wraps(command)
    def connected(
        server: str, key: str | None, data_dir: Path, timeout: float | None, **given: Any
    ) -> Any:
        try:
            address = normal_address(server)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--server") from error
        found = key or find_local_key(address, data_dir)
        return command(connection=Connection(address, found, timeout), **given)

    return connected  # type: ignore[return-value]  # the options are click's, not the signature's


def run(work: Coroutine[Any, Any, int]) -> None:
    """Run a command to its exit code. Raises click.UsageError for paths that cannot be used."""
    try:
        code = asyncio.run(work)
    except InputProblem as problem:
        raise click.UsageError(str(problem)) from problem
    click.get_current_context().exit(code)


@cli.command("transcribe", short_help="Send recordings, watch, fetch the transcripts.")
@click.argument("paths", nargs=-1, metavar="[PATHS]...")
@with_connection
@click.option("--model", metavar="SIZE", help="Such as tiny, base, small, large-v3, turbo.")
@click.option("--language", metavar="LANG", help="Code or English name. Default: detected.")
@click.option(
    "--task", type=click.Choice(["transcribe", "translate"]), help="Into English, or not."
)
@click.option("--priority", type=click.Choice(["high", "normal"]))
@click.option("--initial-prompt", metavar="TEXT", help="Names and style to expect.")
@click.option("--temperature", type=click.FloatRange(0, 1))
@click.option("--beam-size", type=click.IntRange(min=1))
@click.option("--word-timestamps", is_flag=True, help="A time for every word (json, verbose_json).")
@click.option("--no-downgrade", is_flag=True, help="Fail rather than use a smaller model.")
@click.option(
    "--decode-mode",
    type=click.Choice(["batched", "sequential"]),
    help="All windows at once, or each after the other with its context.",
)
@click.option(
    "--format", "transcript_format", type=click.Choice(FORMATS), default="txt", show_default=True
)
@click.option("--max-line-width", type=LINE_WIDTH, help="Characters per subtitle line.")
@click.option("--max-line-count", type=LINE_COUNT, help="Lines per subtitle.")
@click.option(
    "-o",
    "--output",
    metavar="PATH",
    help="File, or folder for several recordings. Default: standard output.",
)
@click.option("--force", is_flag=True, help="Overwrite outputs that are there.")
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, 32),
    default=4,
    show_default=True,
    help="Uploads at once.",
)
@click.option("-r", "--recursive", is_flag=True, help="Look into folders of folders.")
@click.option("--filename", metavar="NAME", help="Name of the recording on standard input.")
@click.option("--keep/--purge", default=True, help="Afterwards, on the server.  [default: keep]")
@click.option("--detach", is_flag=True, help="Submit, print the job ids, do not wait.")
@click.option("-q", "--quiet", is_flag=True, help="Only warnings and errors.")
def transcribe(connection: Connection, *, keep: bool, **given: Any) -> None:
    """Transcribe recordings: files, folders, https addresses, or - for standard input.

    The transcript goes to standard output or to --output, everything else to standard error.
    Ctrl-C cancels the jobs on the server; a second one leaves at once.
    """
    settings = TranscribeSettings(purge=not keep, **given)
    problem = settings.problem()
    if problem:
        raise click.UsageError(problem)
    run(transcribe_files(connection, settings))


@cli.command("status")
@click.argument("job_ids", nargs=-1, required=True, metavar="JOB_ID...")
@with_connection
def status(connection: Connection, job_ids: tuple[str, ...]) -> None:
    """Say where jobs stand. Exit code 1 when one of them failed or was cancelled."""
    run(show_status(connection, job_ids))


@cli.command("cancel")
@click.argument("job_ids", nargs=-1, required=True, metavar="JOB_ID...")
@with_connection
def cancel(connection: Connection, job_ids: tuple[str, ...]) -> None:
    """Cancel jobs that wait or run."""
    run(cancel_jobs(connection, job_ids))


@cli.command("list")
@with_connection
@click.option("--status", type=click.Choice(STATUSES))
@click.option("--language", metavar="LANG")
@click.option("--model", "model_size", metavar="SIZE")
@click.option("--since", "created_from", metavar="DATE", help="Submitted then or later (ISO 8601).")
@click.option("--before", "created_to", metavar="DATE", help="Submitted earlier (ISO 8601).")
@click.option("--filename", metavar="TEXT", help="Part of the file's name.")
@click.option("--limit", type=click.IntRange(min=1), default=25, show_default=True)
def list_(connection: Connection, *, limit: int, **filters: str | None) -> None:
    """List jobs, newest first. In a pipe: one line per job, tabs between."""
    run(show_jobs(connection, _given(filters), limit))


@cli.command("result")
@click.argument("job_id")
@with_connection
@click.option(
    "--format", "transcript_format", type=click.Choice(FORMATS), default="txt", show_default=True
)
@click.option("--max-line-width", type=LINE_WIDTH, help="Characters per subtitle line.")
@click.option("--max-line-count", type=LINE_COUNT, help="Lines per subtitle.")
@click.option("-o", "--output", metavar="FILE", help="Default: standard output.")
@click.option("--force", is_flag=True, help="Overwrite the output.")
def result(
    connection: Connection,
    *,
    job_id: str,
    transcript_format: str,
    output: str | None,
    force: bool,
    **lines: int | None,
) -> None:
    """Fetch the transcript of a completed job."""
    wanted = {"format": transcript_format, **_given(lines)}
    run(save_result(connection, job_id, wanted, output, force=force))


@cli.command("errors")
@with_connection
@click.option("--type", metavar="CODE", help="Such as audio_unreadable.")
@click.option("--all", "has_all", is_flag=True, help="Resolved ones too.")
@click.option("--limit", type=click.IntRange(1, 100), default=25, show_default=True)
def errors(connection: Connection, *, has_all: bool, **filters: Any) -> None:
    """List jobs that were given up. Needs the admin key."""
    unresolved = {} if has_all else {"resolved": "false"}
    run(show_errors(connection, {**_given(filters), **unresolved}))


def _given(options: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in options.items() if value is not None}
