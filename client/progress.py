"""What the user sees on standard error: live lines on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from client.contract import Job
from client.errors import ClientError
from client.report import error_lines
from client.track import Track, format_bytes, format_span, summary_of

REFRESHES_PER_S = 8
NAME_COLUMNS = (12, 34)  # least and most
BAR_COLUMNS = (8, 40)
OTHER_COLUMNS = 46  # mark, state, percent, time left, detail and the gaps between
QUARTER = 0.25
Clock = Callable[[], float]


class Display(Protocol):
    """How a run of files is shown. One track per file, from `add` to `finish` or `fail`."""

    def add(self, track: Track) -> None:
        """Begin to show a file."""
        ...

    def note_sent(self, track: Track, sent_bytes: int) -> None:
        """Show upload progress."""
        ...

    def note_job(self, track: Track, job: Job) -> None:
        """Show what the server said of the job."""
        ...

    def finish(self, track: Track, target: str | None) -> None:
        """The transcript is there; `target` says where it was written."""
        ...

    def fail(self, track: Track, error: ClientError) -> None:
        """Show that the file came to a bad end, and why."""
        ...

    def drop(self, track: Track) -> None:
        """Stop showing a file without a word of its own."""
        ...

    def note(self, text: str) -> None:
        """Say something about the run as a whole."""
        ...

    def warn(self, text: str) -> None:
        """Say something that must not be missed, also when quiet."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was found. Nothing moves after this."""
        ...

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Give the terminal to standard output for a while."""
        ...


class PlainDisplay:
    """One line at every change of state. `is_quiet` leaves warnings and errors alone."""

    def __init__(
        self, console: Console, *, is_quiet: bool = False, clock: Clock = time.monotonic
    ) -> None:
        self._console = console
        self._is_quiet = is_quiet
        self._clock = clock
        self._said: dict[int, str] = {}

    def add(self, track: Track) -> None:
        """Nothing to say yet."""

    def note_sent(self, track: Track, sent_bytes: int) -> None:
        """Say once that the upload has begun."""
        track.note_sent(sent_bytes, self._clock())
        self._say_state(track, f"uploading {format_bytes(track.size_bytes)}")

    def note_job(self, track: Track, job: Job) -> None:
        """Say the state when it is a new one, and every quarter of the work."""
        is_new = track.job is None
        now = self._clock()
        for text in track.note_job(job, now):
            self.warn(f"{track.name}: {text}")
        if job.is_finished:
            return
        words = ", ".join(filter(None, (track.state_words(), track.detail_words(now))))
        quarters = int(job.progress / QUARTER) if track.is_running else 0
        if quarters:
            left_s = track.time_left_s(now)
            left = f", {format_span(left_s)} left" if left_s else ""
            words = f"{track.state_words()} {quarters * QUARTER:.0%}{left}"
        self._say_state(
            track,
            f"{words}, job {job.id}" if is_new else words,
            subject=f"{track.state_words()} {quarters} {job.queue_position}",
        )

    def finish(self, track: Track, target: str | None) -> None:
        """Say that it is done."""
        arrow = f" -> {target}" if target else ""
        self.note(f"{track.name}: {summary_of(track.job) if track.job else 'done'}{arrow}")

    def fail(self, track: Track, error: ClientError) -> None:
        """Say why."""
        print_error(self._console, error, track.name)

    def drop(self, track: Track) -> None:
        """No line."""

    def note(self, text: str) -> None:
        """One line, unless quiet."""
        if not self._is_quiet:
            self._console.print(Text(text), soft_wrap=True)

    def warn(self, text: str) -> None:
        """One line in yellow."""
        print_warning(self._console, text)

    def close(self) -> None:
        """Nothing moves."""

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Lines do not get in the way."""
        yield

    def _say_state(self, track: Track, text: str, subject: str | None = None) -> None:
        subject = subject or text
        if self._said.get(id(track)) != subject:
            self._said[id(track)] = subject
            self.note(f"{track.name}: {text}")


class LiveDisplay:
    """Lines that move, one per file at work; what is over scrolls away above them."""

    def __init__(self, console: Console, *, clock: Clock = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._tracks: list[Track] = []
        self._total = 0
        self._done = 0
        self._failed = 0
        self._started_at = clock()
        self._is_ascii = not console.encoding.startswith("utf")
        self._spinner = Spinner("line" if self._is_ascii else "dots", style="cyan")
        self._live: Live | None = None

    def add(self, track: Track) -> None:
        """Give the file a line."""
        self._tracks.append(track)
        self._total += 1
        self._start_moving()

    def note_sent(self, track: Track, sent_bytes: int) -> None:
        """Move the upload bar."""
        track.note_sent(sent_bytes, self._clock())

    def note_job(self, track: Track, job: Job) -> None:
        """Move the bar; say what is new to worry about."""
        for text in track.note_job(job, self._clock()):
            self.warn(f"{track.name}: {text}")

    def finish(self, track: Track, target: str | None) -> None:
        """Replace the moving line by a line that stays."""
        self._done += 1
        line = Text.assemble(
            ("ok " if self._is_ascii else "✓ ", "green"),
            (track.name, "bold"),
            "  ",
            (summary_of(track.job) if track.job else "done", "dim"),
        )
        if target:
            line.append(f" {'->' if self._is_ascii else '→'} {target}")
        self._close(track)
        self._console.print(line, soft_wrap=True)

    def fail(self, track: Track, error: ClientError) -> None:
        """Replace the moving line by the reason."""
        self._failed += 1
        self._close(track)
        print_error(self._console, error, track.name)

    def drop(self, track: Track) -> None:
        """Take its line away."""
        self._close(track)

    def note(self, text: str) -> None:
        """One line above the moving ones."""
        self._console.print(Text(text, "dim"), soft_wrap=True)

    def warn(self, text: str) -> None:
        """One line in yellow above the moving ones."""
        print_warning(self._console, text)

    def close(self) -> None:
        """Take the moving lines away and bring the cursor back."""
        self._tracks.clear()
        self._stop_moving()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the moving lines away until standard output has been written."""
        self._stop_moving()
        try:
            yield
        finally:
            if self._tracks:
                self._start_moving()

    def _start_moving(self) -> None:
        # A new one each time: one that was stopped would erase what was printed since.
        if self._live is None:
            self._live = Live(
                get_renderable=self.render,
                console=self._console,
                refresh_per_second=REFRESHES_PER_S,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start(refresh=True)

    def _stop_moving(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _close(self, track: Track) -> None:
        if track in self._tracks:
            self._tracks.remove(track)
        if not self._tracks:
            self._stop_moving()

    def render(self) -> RenderableType:
        """All moving lines at this moment, as many as the terminal has room for."""
        now = self._clock()
        room = max(1, self._console.height - 3)
        shown = sorted(self._tracks, key=_interest)[:room]
        shown.sort(key=self._tracks.index)
        lines: list[RenderableType] = []
        if shown:
            lines.append(self._table(shown, now))
        if self._total > 1:
            lines.append(self._summary(len(self._tracks) - len(shown), now))
        return Group(*lines)

    def _table(self, tracks: list[Track], now: float) -> Table:
        width = self._console.width
        longest = max(len(track.name) for track in tracks)
        name_columns = min(longest, max(NAME_COLUMNS[0], min(NAME_COLUMNS[1], width // 4)))
        bar_columns = min(BAR_COLUMNS[1], width - OTHER_COLUMNS - name_columns)
        table = Table.grid(padding=(0, 1))
        table.add_column(width=1)
        table.add_column(width=name_columns, no_wrap=True, overflow="ellipsis")
        table.add_column(width=13, no_wrap=True, style="cyan")
        has_bar = bar_columns >= BAR_COLUMNS[0]
        if has_bar:
            table.add_column(width=bar_columns)
        table.add_column(width=4, justify="right")
        table.add_column(width=9, justify="right", no_wrap=True, style="green")
        table.add_column(no_wrap=True, style="dim", overflow="ellipsis")
        for track in tracks:
            bar = [self._bar(track, now, bar_columns)] if has_bar else []
            table.add_row(*self._start(track), *bar, *self._end(track, now))
        return table

    def _start(self, track: Track) -> tuple[RenderableType, ...]:
        is_moving = track.is_uploading or track.is_running
        mark = self._spinner if is_moving else Text("." if self._is_ascii else "·", "dim")
        return mark, Text(track.name), Text(track.state_words())

    def _bar(self, track: Track, now: float, columns: int) -> ProgressBar:
        # A bar that knows no share yet pulses, unless nothing happens at all.
        share = track.share(now)
        is_unknown = track.is_running and share == 0
        return ProgressBar(
            total=None if is_unknown else 1.0,
            completed=share,
            width=columns,
            pulse=is_unknown,
            animation_time=now,
            complete_style="magenta" if track.job is None else "cyan",
            finished_style="magenta" if track.job is None else "green",
        )

    def _end(self, track: Track, now: float) -> tuple[RenderableType, ...]:
        is_moving = track.is_uploading or track.is_running
        share = f"{int(track.share(now) * 100)}%" if is_moving else ""
        left_s = track.time_left_s(now) if is_moving else None
        left = "" if left_s is None else f"{format_span(left_s)} left" if left_s >= 1 else "soon"
        return Text(share), Text(left), Text(track.detail_words(now))

    def _summary(self, hidden: int, now: float) -> Text:
        parts = [f"{self._done} of {self._total} done"]
        if self._failed:
            parts.append(f"{self._failed} failed")
        if hidden:
            parts.append(f"{hidden} more waiting")
        parts.append(f"{format_span(now - self._started_at)} passed")
        return Text("  " + ", ".join(parts), "dim")


def _interest(track: Track) -> int:
    if track.is_running:
        return 0
    return 1 if track.is_uploading else 2 if track.is_queued else 3


def print_error(console: Console, error: ClientError, name: str | None = None) -> None:
    """The error in red with its facts below it."""
    first, *facts = error_lines(error)
    place = f"{name}: " if name else ""
    console.print(Text.assemble(("error: ", "bold red"), f"{place}{first}"), soft_wrap=True)
    for fact in facts:
        console.print(Text(f"    {fact}", "dim"), soft_wrap=True)


def print_warning(console: Console, text: str) -> None:
    """The warning in yellow."""
    console.print(Text(f"warning: {text}", "yellow"), soft_wrap=True)


def error_console() -> Console:
    """The console on standard error. Nothing is coloured that is not asked to be."""
    return Console(stderr=True, highlight=False)


def choose_display(console: Console, *, is_quiet: bool) -> Display:
    """Moving lines on a terminal, plain lines in a pipe or a log, next to none when quiet."""
    if console.is_terminal and not console.is_dumb_terminal and not is_quiet:
        return LiveDisplay(console)
    return PlainDisplay(console, is_quiet=is_quiet)
