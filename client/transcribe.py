"""The `transcribe` command: from settings to an exit code."""

import sys
from pathlib import Path

from client.addresses import is_address
from client.api import Server
from client.batch import Batch, Plan
from client.delivery import Delivery
from client.files import STDIN, Input, collect_inputs, plan_outputs, spool_stdin
from client.interrupt import run_until_interrupted
from client.patience import Patience
from client.progress import Display, choose_display, error_console
from client.run import FileRun
from client.settings import Connection, TranscribeSettings
from client.track import Track


async def transcribe_files(connection: Connection, settings: TranscribeSettings) -> int:
    """Run the command; the exit code. Raises InputProblem, Interrupted or ClientError.

    Standard input is read to its end first, after everything else has been checked.
    """
    inputs = collect_inputs(
        settings.paths,
        recursive=settings.recursive,
        stdin_name=settings.filename or "audio",
    )
    outputs = _plan_outputs(settings, inputs)
    names = unlike_names(inputs)
    runs = [
        FileRun(item, Track(name), spool=spool_stdin() if item.is_stdin else None)
        for item, name in zip(inputs, names, strict=True)
    ]
    display = choose_display(error_console(), is_quiet=settings.quiet)
    delivery = Delivery(
        names,
        outputs,
        display,
        force=settings.force,
        has_headings=len(names) > 1 and sys.stdout.isatty() and not settings.detach,
    )
    patience = Patience(display.note, connection.timeout)
    async with Server(connection.server, connection.key, patience) as server:
        batch = Batch(server, display, runs, delivery, _plan(settings))
        return await run_until_interrupted(
            batch.run(), before_leaving=lambda: _say_what_is_left(display, batch)
        )


def unlike_names(inputs: list[Input]) -> list[str]:
    """What each file is called on the screen: its name, or its path where names are alike."""
    names = [item.filename for item in inputs]
    return [
        name if names.count(name) == 1 else str(item.path)
        for name, item in zip(names, inputs, strict=True)
    ]


def _plan_outputs(settings: TranscribeSettings, inputs: list[Input]) -> list[Path] | None:
    if settings.output in (None, STDIN):
        return None
    return plan_outputs(
        inputs,
        str(settings.output),
        settings.transcript_format,
        takes_folder=len(inputs) > 1 or any(_is_folder(path) for path in settings.paths),
        force=settings.force,
    )


def _is_folder(path: str) -> bool:
    return not is_address(path) and Path(path).is_dir()  # an address may be too long for a path


def _plan(settings: TranscribeSettings) -> Plan:
    return Plan(
        options=settings.submit_options(),
        wanted=settings.result_options(),
        uploads_at_once=settings.jobs,
        detach=settings.detach,
        purge=settings.purge,
    )


def _say_what_is_left(display: Display, batch: Batch) -> None:
    display.close()
    left = batch.jobs_on_server()
    if left:
        display.warn(f"left at once; still on the server: {', '.join(left)}")
