"""Ctrl-C and SIGTERM: the first asks the run to stop, the second leaves at once."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from client.errors import EXIT_INTERRUPTED, EXIT_TERMINATED

EXIT_CODES = {signal.SIGINT: EXIT_INTERRUPTED, signal.SIGTERM: EXIT_TERMINATED}


class Interrupted(Exception):
    """The run was asked to stop and has stopped."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"interrupted, exit code {exit_code}")
        self.exit_code = exit_code


async def run_until_interrupted(
    work: Coroutine[Any, Any, int], before_leaving: Callable[[], None]
) -> int:
    """The exit code of `work`. Raises Interrupted after a signal has cancelled it.

    A second signal calls `before_leaving` and ends the process without any clean-up.
    """
    task = asyncio.ensure_future(work)
    received: list[int] = []
    loop = asyncio.get_running_loop()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            before_leaving()
            os._exit(EXIT_CODES[signal.Signals(number)])
        # The loop may be asleep in select(): this wakes it, on every platform.
        loop.call_soon_threadsafe(task.cancel)

    with _handlers(on_signal):
        try:
            code = await task
        except asyncio.CancelledError:
            if not received:
                raise
            raise Interrupted(EXIT_CODES[signal.Signals(received[0])]) from None
    return code


@contextmanager
def _handlers(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in EXIT_CODES}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
