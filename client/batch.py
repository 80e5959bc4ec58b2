"""A run of one or more files: uploads side by side, all jobs watched, one exit code."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from client.api import Server
from client.delivery import Delivery
from client.errors import (
    EXIT_OK,
    ClientError,
    RequestRefused,
    ServerUnreachable,
    worst_exit_code,
)
from client.progress import Display
from client.run import FileRun, Watcher, check_completed, send_file

STATE_CONFLICT = 409


@dataclass(frozen=True)
class Plan:
    """What is the same for every file of the run."""

    options: Mapping[str, str]  # query parameters of the upload
    wanted: Mapping[str, str]  # query parameters of the result
    uploads_at_once: int = 4
    detach: bool = False
    purge: bool = False


class Batch:
    """Runs the files of one command."""

    def __init__(
        self, server: Server, display: Display, runs: list[FileRun], delivery: Delivery, plan: Plan
    ) -> None:
        self._server = server
        self._display = display
        self._runs = runs
        self._delivery = delivery
        self._plan = plan
        self._uploads = asyncio.Semaphore(plan.uploads_at_once)
        self._watcher = Watcher(server, display)
        self._stop_reason: ClientError | None = None
        self._not_sent = 0

    async def run(self) -> int:
        """Run all files; the exit code. Cancelled: cancels the jobs on the server first."""
        for run in self._runs:
            self._display.add(run.track)
        try:
            async with asyncio.TaskGroup() as group:
                for index, run in enumerate(self._runs):
                    group.create_task(self._run_file(index, run))
        except BaseExceptionGroup as group_error:  # such as a reader of our output that left
            await self._cancel_running()
            raise group_error.exceptions[0] from None
        except asyncio.CancelledError:
            await self._cancel_running()
            raise
        finally:
            self._display.close()
        if self._not_sent:
            self._display.warn(f"{self._not_sent} files were not sent")
        return worst_exit_code(
            [run.error.exit_code if run.error else EXIT_OK for run in self._runs]
        )

    async def _run_file(self, index: int, run: FileRun) -> None:
        try:
            async with self._uploads:
                if self._stop_reason:
                    self._leave_out(index, run)
                    return
                job = await send_file(self._server, self._display, run, self._plan.options)
            target = await self._finish(index, run, job.id)
        except ClientError as error:
            self._fail(index, run, error)
        else:
            self._display.finish(run.track, target)

    async def _finish(self, index: int, run: FileRun, job_id: str) -> str | None:
        if self._plan.detach:
            return await self._delivery.deliver(index, job_id.encode())
        check_completed(await self._watcher.follow(run, job_id))
        try:
            content = await self._server.get_result(job_id, self._plan.wanted)
            target = await self._delivery.deliver(index, content)
        except ClientError:
            self._display.warn(f"{run.track.name}: the server keeps the result of job {job_id}")
            raise
        if self._plan.purge:
            await self._server.purge_job(job_id)
        return target

    def _fail(self, index: int, run: FileRun, error: ClientError) -> None:
        run.error = error
        self._delivery.skip(index)
        is_for_all = isinstance(error, RequestRefused) and error.concerns_every_file
        if run.job is None and (is_for_all or isinstance(error, ServerUnreachable)):
            if self._stop_reason and str(self._stop_reason) == str(error):
                self._leave_out(index, run)
                return
            self._stop_reason = error
        self._display.fail(run.track, error)

    def _leave_out(self, index: int, run: FileRun) -> None:
        """Count a file that meets the very trouble that another one has just reported."""
        run.error = self._stop_reason
        self._not_sent += 1
        self._delivery.skip(index)
        self._display.drop(run.track)

    async def _cancel_running(self) -> None:
        self._delivery.flush()
        running = [run for run in self._runs if run.is_on_server]
        if self._plan.detach or not running:
            return
        self._display.warn(f"cancelling {_count(len(running), 'job')} on the server ...")
        outcomes = await asyncio.gather(*(self._cancel(run) for run in running))
        left = [run for run, is_over in zip(running, outcomes, strict=True) if not is_over]
        if len(left) < len(running):
            self._display.warn(f"{_count(len(running) - len(left), 'job')} cancelled")
        for run in left:
            self._display.warn(f"{run.track.name}: job {run.job.id if run.job else ''} still runs")

    async def _cancel(self, run: FileRun) -> bool:
        """True when the job has ended one way or the other."""
        assert run.job is not None  # noqa: S101 - for the type: only jobs on the server come here
        try:
            await self._server.cancel_job_at_once(run.job.id)
        except RequestRefused as error:
            return error.status == STATE_CONFLICT
        except ClientError:
            return False
        return True

    def jobs_on_server(self) -> list[str]:
        """Ids of jobs of this run that have not ended, as far as is known."""
        return [run.job.id for run in self._runs if run.job is not None and run.is_on_server]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
