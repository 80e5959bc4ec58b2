import asyncio
import io
from contextlib import suppress

from rich.console import Console

from client.delivery import Delivery
from client.progress import PlainDisplay


def make_delivery(*names, has_headings=False):
    written = []
    delivery = Delivery(
        names,
        None,
        PlainDisplay(Console(file=io.StringIO())),
        force=False,
        has_headings=has_headings,
        write=written.append,
    )
    return delivery, written


def test_a_transcript_waits_for_those_before_it():
    async def play():
        delivery, written = make_delivery("a", "b")
        second = asyncio.create_task(delivery.deliver(1, b"two\n"))
        await asyncio.sleep(0)
        before = list(written)
        await delivery.deliver(0, b"one\n")
        await second
        return before, written

    before, written = asyncio.run(play())

    assert (before, written) == ([], [b"one\n", b"two\n"])


def test_an_input_without_a_transcript_holds_nobody_up():
    async def play():
        delivery, written = make_delivery("a", "b")
        delivery.skip(0)
        await delivery.deliver(1, b"two\n")
        return written

    assert asyncio.run(play()) == [b"two\n"]


def test_flush_prints_what_is_ready_once():
    async def play():
        delivery, written = make_delivery("a", "b", "c")
        waiting = asyncio.create_task(delivery.deliver(2, b"three\n"))
        await asyncio.sleep(0)
        delivery.flush()
        delivery.flush()
        with suppress(asyncio.CancelledError):
            await waiting
        return written

    assert asyncio.run(play()) == [b"three\n"]


def test_headings_stand_between_transcripts_and_every_one_ends_its_line():
    async def play():
        delivery, written = make_delivery("a.mp3", "b.mp3", has_headings=True)
        await delivery.deliver(0, b"one")
        await delivery.deliver(1, b"two\n")
        return b"".join(written).decode()

    assert asyncio.run(play()) == "==> a.mp3 <==\none\n\n==> b.mp3 <==\ntwo\n"
