import io
import re

import pytest
from rich.console import Console

from client.contract import job_from_json
from client.errors import JobNotCompleted, RequestRefused
from client.progress import LiveDisplay, PlainDisplay, choose_display
from client.track import Track
from tests.integration.client.toy_server import DONE, QUEUED, RUNNING


def job(state):
    return job_from_json({"job_id": "1", **state})


def terminal(width=100, height=24):
    return Console(
        file=io.StringIO(), force_terminal=True, width=width, height=height, color_system=None
    )


def shown(display, console):
    """The moving lines at this moment."""
    with console.capture() as capture:
        console.print(display.render())
    return [line.rstrip() for line in capture.get().splitlines()]


@pytest.fixture
def live():
    displays = []

    def make(**size):
        display = LiveDisplay(terminal(**size), clock=lambda: 10.0)
        displays.append(display)
        return display

    yield make
    for display in displays:
        display.close()


def add(display, name, state=None):
    track = Track(name, size_bytes=1000)
    display.add(track)
    if state:
        display.note_job(track, job(state))
    return track


def test_a_line_shows_state_bar_share_time_left_and_speed(live):
    display = live()
    add(display, "talk.mp3", RUNNING)

    (line,) = shown(display, terminal())

    assert re.search(r"talk\.mp3 +transcribing +━+.* 50% +0:05 left +6\.0x", line)


def test_a_queued_line_shows_its_position(live):
    display = live()
    add(display, "talk.mp3", QUEUED)

    (line,) = shown(display, terminal())

    assert line.endswith("position 2")


def test_brackets_in_a_name_are_no_markup(live):
    display = live()
    add(display, "[bold]a[/x].mp3", QUEUED)

    assert "[bold]a[/x].mp3" in shown(display, terminal())[0]


@pytest.mark.parametrize("width", [30, 40, 58, 80, 200])
def test_no_line_is_wider_than_the_terminal(live, width):
    display = live(width=width)
    add(display, "a name that is much too long for any terminal to hold.mp3", RUNNING)

    lines = shown(display, terminal(width=width))

    assert len(lines) == 1
    assert len(lines[0]) <= width


def test_an_ordinary_terminal_has_room_for_the_bar(live):
    display = live(width=80)
    add(display, "a name that is much too long for any terminal to hold.mp3", RUNNING)

    (line,) = shown(display, terminal(width=80))

    assert "━" in line


def test_more_files_than_lines_are_counted_and_those_at_work_stay_visible(live):
    display = live(height=10)
    for number in range(50):
        add(display, f"{number}.mp3", QUEUED)
    add(display, "last.mp3", RUNNING)

    lines = shown(display, terminal(height=10))

    assert len(lines) == 8
    assert "last.mp3" in lines[-2]
    assert "0 of 51 done, 44 more waiting" in lines[-1]


def test_finished_files_leave_a_line_and_are_counted(live):
    display = live()
    first, second = add(display, "a.mp3"), add(display, "b.mp3")
    add(display, "c.mp3")
    display.note_job(first, job(DONE))

    display.finish(first, "out/a.txt")
    display.fail(second, JobNotCompleted("no sound"))

    text = display._console.file.getvalue()
    assert "✓ a.mp3  1:00 of audio in 10.0 s (6.0x), base, en → out/a.txt" in text
    assert "error: b.mp3: no sound" in text
    assert "1 of 3 done, 1 failed" in shown(display, terminal())[-1]


def test_the_moving_lines_never_erase_what_was_printed_in_between(live):
    display = live()
    add(display, "a.mp3", QUEUED)
    stream = display._console.file

    with display.aside():
        stream.write("TRANSCRIPT\n")

    after = stream.getvalue().split("TRANSCRIPT\n")[1]
    before_the_next_line = after.split("a.mp3")[0]
    assert "a.mp3" in after
    assert "\x1b[1A" not in before_the_next_line
    assert "\x1b[2K" not in before_the_next_line


def test_close_brings_the_cursor_back(live):
    display = live()
    add(display, "a.mp3", RUNNING)

    display.close()

    text = display._console.file.getvalue()
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l")


def test_plain_lines_come_at_changes_and_quarters_only():
    stream = io.StringIO()
    display = PlainDisplay(Console(file=stream), clock=lambda: 0.0)
    track = Track("a.mp3", size_bytes=2_000_000)

    for sent in (0, 1_000_000, 2_000_000):
        display.note_sent(track, sent)
    states = [QUEUED, QUEUED, *({**RUNNING, "progress": p} for p in (0.1, 0.12, 0.3, 0.4, 0.8))]
    for state in states:
        display.note_job(track, job(state))

    assert stream.getvalue().splitlines() == [
        "a.mp3: uploading 2.0 MB",
        "a.mp3: queued, position 2, job 1",
        "a.mp3: transcribing, 10.8x",
        "a.mp3: transcribing 25%, 0:05 left",
        "a.mp3: transcribing 75%, 0:05 left",
    ]


def test_a_refusal_shows_nested_facts_and_long_lists_cut_short():
    stream = io.StringIO()
    display = PlainDisplay(Console(file=stream))
    details = {"query": {"beam_size": ["Not a valid integer."]}, "allowed": list(range(60))}

    display.fail(
        Track("a.mp3"), RequestRefused(422, code="validation_error", message="no", details=details)
    )

    lines = stream.getvalue().splitlines()
    assert lines[:2] == [
        "error: a.mp3: no (validation_error)",
        "    query.beam_size: Not a valid integer.",
    ]
    assert lines[2].endswith("38, 39, ...")


@pytest.mark.parametrize(
    ("is_terminal", "is_quiet", "kind"),
    [
        (True, False, LiveDisplay),
        (True, True, PlainDisplay),
        (False, False, PlainDisplay),
    ],
)
def test_only_a_terminal_that_wants_it_gets_moving_lines(is_terminal, is_quiet, kind):
    console = Console(file=io.StringIO(), force_terminal=is_terminal)

    assert type(choose_display(console, is_quiet=is_quiet)) is kind
