import os
from io import StringIO

import pytest

from embedded.output import LINE_LIMIT_BYTES, LineReader, PrefixedPrinter, clean


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", buffering=0) as source, os.fdopen(writer, "wb", 0) as sink:
        yield source, sink


def test_a_line_is_given_when_it_is_complete(pipe):
    source, sink = pipe
    lines = LineReader(source)
    sink.write(b"first\nsec")
    before = lines.read_lines()

    sink.write(b"ond\n")

    assert before == ["first"]
    assert lines.read_lines() == ["second"]


def test_a_silent_pipe_is_not_waited_for(pipe):
    assert LineReader(pipe[0]).read_lines() == []


def test_the_last_line_needs_no_line_feed(pipe):
    source, sink = pipe
    lines = LineReader(source)
    sink.write(b"the cause")
    sink.close()

    lines.read_lines()

    assert lines.read_lines() is None
    assert lines.close() == ["the cause"]


def test_a_line_without_end_comes_out_in_pieces(pipe):
    source, sink = pipe
    lines = LineReader(source)
    sink.write(b"x" * (LINE_LIMIT_BYTES + 1))

    assert len(lines.read_lines()) == 1


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"plain\ttext\r", "plain\ttext"),
        (b"\r 10%\r 20%\r 30%", " 30%"),
        (b"a name \x1b[2J\x07.mp3", "a name �[2J�.mp3"),
        (b"\xff\xfe", "��"),
    ],
)
def test_what_a_process_says_cannot_command_the_terminal(raw, shown):
    assert clean(raw) == shown


def test_names_have_one_width_and_no_colour_off_a_terminal():
    stream = StringIO()
    printer = PrefixedPrinter(stream, ["web", "postgres"], colour=False)

    printer.write("web", "hello")
    printer.write("postgres", "hello")

    assert stream.getvalue() == "web      | hello\npostgres | hello\n"


def test_each_name_has_a_colour_of_its_own_on_a_terminal():
    stream = StringIO()
    printer = PrefixedPrinter(stream, ["web", "worker"], colour=True)

    printer.write("web", "x")
    printer.write("worker", "x")

    first, second = stream.getvalue().splitlines()
    assert first.startswith("\x1b[36m")
    assert second.startswith("\x1b[32m")


def test_a_reader_that_went_away_is_noted_and_not_written_to_again():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        printer = PrefixedPrinter(stream, ["web"], colour=False)

        printer.write("web", "nobody reads this")

        assert printer.is_broken
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)  # so that closing it can flush
