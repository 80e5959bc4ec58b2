"""Start services one after another, keep them running, stop them in reverse order.

One thread and one loop: the kernel ties a child's death signal to the thread that made it.
"""

import selectors
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from types import FrameType

from embedded.child import Child
from embedded.errors import ServiceFailed, StopRequested
from embedded.output import LineReader, PrefixedPrinter
from embedded.service import Service

TICK_S = 0.1  # how late a signal, a death or a readiness is noticed
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WAIT_NOTICE_S = 3.0
ECHO_S = 0.3  # two signals within this are one request


class Supervisor:
    """Runs services and shows what they say. Use it inside `signals_handled()`."""

    def __init__(self, printer: PrefixedPrinter, say: Callable[[str], None]) -> None:
        self._printer = printer
        self._say = say
        self._children: list[Child] = []  # in the order they were started
        self._selector = selectors.DefaultSelector()
        self._stop_requests = 0
        self._stop_asked_at = 0.0

    @contextmanager
    def signals_handled(self) -> Iterator[None]:
        """Take INT, TERM and HUP as requests to stop, and stop everything on leaving."""
        before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
        for number, handler in before.items():
            if number == signal.SIGHUP and handler == signal.SIG_IGN:
                continue  # nohup asked us to stay
            signal.signal(number, self._note_stop_request)
        try:
            yield
        finally:
            self.stop()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note_stop_request(self, number: int, _frame: FrameType | None) -> None:
        # A closing terminal sends HUP, and so does its shell; wrappers signal us and then our
        # whole group. What comes at once is one request, only a later one means hurry.
        now = time.monotonic()
        is_echo = self._stop_requests > 0 and now - self._stop_asked_at < ECHO_S
        if is_echo or (number == signal.SIGHUP and self._stop_requests > 0):
            return
        self._stop_requests += 1
        self._stop_asked_at = now

    @property
    def is_stop_requested(self) -> bool:
        """Whether someone asked for the end, or nobody reads our output any more."""
        return self._stop_requests > 0 or self._printer.is_broken

    def start(self, service: Service) -> Child:
        """Start a service and go on at once."""
        child = Child(service)
        self._children.append(child)
        self._launch(child)
        return child

    def start_and_wait(self, service: Service) -> None:
        """Start a service and return when it is ready. Raises ServiceFailed, StopRequested."""
        self.wait_until_ready(self.start(service))

    def wait_until_ready(self, child: Child) -> None:
        """Return when a started service is ready. Raises ServiceFailed, StopRequested."""
        service = child.service
        deadline = time.monotonic() + service.start_timeout_s
        while True:
            self._pump_for(TICK_S)
            if self.is_stop_requested:
                raise StopRequested
            if not child.is_running:
                raise ServiceFailed(
                    f"{service.name} ended with {outcome(child)}{last_words(child)}"
                )
            if service.is_ready():
                return
            if time.monotonic() > deadline:
                raise ServiceFailed(
                    f"{service.name} was not ready within {service.start_timeout_s:.0f} s"
                    f"{last_words(child)}"
                )

    def run_to_end(self, service: Service) -> None:
        """Run a step that ends by itself. Raises ServiceFailed unless it exits with 0."""
        child = self.start(service)
        deadline = time.monotonic() + service.start_timeout_s
        while child.is_running:
            self._pump()
            if self.is_stop_requested:
                raise StopRequested
            if time.monotonic() > deadline:
                raise ServiceFailed(
                    f"{service.name} did not end within {service.start_timeout_s:.0f} s"
                )
        self._children.remove(child)
        self._drain()
        if child.exit_code != 0:
            raise ServiceFailed(f"{service.name} ended with {outcome(child)}{last_words(child)}")

    def run(self) -> None:
        """Keep every service running until someone asks for the end."""
        while not self.is_stop_requested:
            self._pump()
            for child in self._children:
                self._revive(child)

    def stop(self) -> None:
        """Stop in reverse order; a stop request that arrives meanwhile puts an end to patience."""
        patience = min(self._stop_requests, 1)
        # A worker that lived on would take up the jobs that its neighbour hands back.
        for _, group in groupby(reversed(self._children), key=stop_group_of):
            children = [child for child in group if child.is_running]
            asked_at = time.monotonic()
            for child in children:
                child.ask_to_stop()
            for child in children:
                self._await_end(child, asked_at, patience)
        self._drain()
        self._children.clear()

    def _await_end(self, child: Child, asked_at: float, patience: int) -> None:
        service = child.service
        noticed = is_killed = False
        while child.is_running:
            self._pump()
            waited_s = time.monotonic() - asked_at
            hurried = self._stop_requests > patience
            if waited_s > (service.hurried_stop_timeout_s if hurried else service.stop_timeout_s):
                if not is_killed:
                    self._say(f"{service.name} is killed")
                is_killed = True
                child.kill()
            elif waited_s > WAIT_NOTICE_S and not noticed:
                noticed = True
                self._say(
                    f"waiting up to {service.stop_timeout_s:.0f} s for {service.name} to finish; "
                    "Ctrl-C again ends it at once"
                )

    def _launch(self, child: Child) -> None:
        reader = child.start(time.monotonic())
        self._selector.register(reader, selectors.EVENT_READ, child)

    def _revive(self, child: Child) -> None:
        now = time.monotonic()
        if child.is_running:
            return
        if child.restart_at is None:
            pause_s = child.schedule_restart(now)
            ended = f"{child.service.name} ended with {outcome(child)}"
            self._say(f"{ended}; it starts again in {pause_s:.0f} s")
        elif now >= child.restart_at:
            self._launch(child)

    def _pump(self, wait_s: float = TICK_S) -> bool:
        """Show what the children said; wait up to `wait_s` for it. Says whether there was any."""
        events = self._selector.select(wait_s)
        for key, _ in events:
            if isinstance(key.fileobj, LineReader):
                self._show(key.fileobj, key.data)
        return bool(events)

    def _pump_for(self, duration_s: float) -> None:
        until = time.monotonic() + duration_s
        while (left_s := until - time.monotonic()) > 0:
            self._pump(left_s)

    def _show(self, reader: LineReader, child: Child) -> None:
        lines = reader.read_lines()
        if lines is None:
            self._selector.unregister(reader)
            lines = reader.close()
        for line in lines:
            child.tail.append(line)
            self._printer.write(child.service.name, line)

    def _drain(self) -> None:
        while self._pump(0):
            pass


def stop_group_of(child: Child) -> str:
    """What children that are stopped together have in common."""
    return child.service.stop_group or child.service.name


def outcome(child: Child) -> str:
    """How a child ended, in words."""
    code = child.exit_code
    if code is None:
        return "no exit code"
    if code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"


def last_words(child: Child) -> str:
    """The last lines a child said, to stand under a message."""
    return "".join(f"\n    {line}" for line in child.tail)
