import threading
from contextlib import contextmanager
from itertools import pairwise

from domain.errors import Stopped
from engines.batched.sharing import SharedDecoder
from tests.unit.engines.batched.callers import (
    Caller,
    EndlessDecoder,
    GatedDecoder,
    decode_alone,
    start_all,
    start_together,
    talk,
    wait_for,
    wait_until,
)
from tests.unit.engines.batched.scripted import (
    ScriptedDecoder,
    said,
    said_throughout,
    span_of,
)


def test_every_recording_gets_its_own_segments():
    decoder = ScriptedDecoder(slots=4)

    _, callers = start_together(decoder, *(talk(n, from_s=n) for n in range(1, 9)))

    assert [caller.wait() for caller in callers] == [None] * 8
    for n, caller in enumerate(callers, start=1):
        assert caller.run_.segments == decode_alone(talk(n, from_s=n))
    assert decoder.free == 4


def test_a_recording_alone_is_decoded_in_the_thread_of_its_caller():
    threads = set()
    shared = SharedDecoder(ScriptedDecoder(), lambda: threads.add(threading.get_ident()))

    shared.decode(talk(3), should_stop=lambda: False, on_progress=lambda _: None)

    assert threads == {threading.get_ident()}


def test_whoever_drives_says_so_as_long_as_it_drives():
    order = []

    @contextmanager
    def driving():
        order.append("begins")
        yield
        order.append("ends")

    shared = SharedDecoder(ScriptedDecoder(), lambda: order.append("step"), driving)
    shared.decode(talk(1), should_stop=lambda: False, on_progress=lambda _: None)

    assert (order[0], order[-1], set(order[1:-1])) == ("begins", "ends", {"step"})


def test_progress_rises_to_one_before_the_call_returns():
    shares = []

    decode_alone(talk(3), on_progress=shares.append)

    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_the_last_progress_of_one_that_waits_comes_before_its_call_returns():
    decoder = GatedDecoder()
    shared = SharedDecoder(decoder, lambda: None)
    driver = Caller(shared, talk(4))
    in_progress, may_go_on = threading.Event(), threading.Event()

    def slow(share):
        if share == 1.0:
            in_progress.set()
            wait_until(may_go_on)

    start_all([driver])
    wait_until(decoder.in_step)
    guest = Caller(shared, talk(1), on_progress=slow)
    start_all([guest])
    decoder.may_go_on.set()
    wait_until(in_progress)
    guest.join(0.3)  # longer than it waits between two looks
    has_returned = not guest.is_alive()
    may_go_on.set()

    assert not has_returned
    assert (guest.wait(), driver.wait()) == (None, None)


def test_the_driver_leaves_when_its_own_recording_is_done_and_another_takes_over():
    decoder = EndlessDecoder(endless={1.0})
    drivers = []
    shared = SharedDecoder(decoder, lambda: drivers.append(threading.current_thread()))
    second_is_in, stop = threading.Event(), threading.Event()
    first = Caller(shared, talk(200), on_progress=lambda _: wait_until(second_is_in))
    second = Caller(shared, talk(1, from_s=1.0), should_stop=stop.is_set)

    start_all([first, second])
    wait_for(lambda: len(shared._guests) == 2)
    second_is_in.set()

    assert first.wait() is None
    wait_for(lambda: second in drivers)
    stop.set()
    assert isinstance(second.wait(), Stopped)
    assert decoder.free == 4


def test_short_recordings_are_not_stuck_behind_a_long_one():
    decoder = GatedDecoder(slots=2)
    shared = SharedDecoder(decoder, lambda: None)
    long, short = Caller(shared, talk(20)), Caller(shared, talk(1, from_s=5.0))
    start_all([long])
    wait_until(decoder.in_step)
    start_all([short])
    wait_for(lambda: len(shared._guests) == 2)

    decoder.may_go_on.set()

    assert (long.wait(), short.wait()) == (None, None)
    starts = [span_of(request).start_s for request in decoder.admitted]
    # Both slots were taken when it came; it got one of the first that became free.
    assert starts.index(5.0) in (2, 3)


def test_free_slots_are_filled_a_few_at_a_time():
    admitted = []

    class Counting(ScriptedDecoder):
        def step(self):
            admitted.append(len(self.admitted))
            return super().step()

    shared = SharedDecoder(Counting(slots=8, steps=20), lambda: None)
    shared.decode(talk(8), should_stop=lambda: False, on_progress=lambda _: None)

    assert max(b - a for a, b in pairwise([0, *admitted])) == 2


def test_windows_that_fail_are_drawn_again_in_company():
    decoder = ScriptedDecoder(
        script=lambda request: (
            said((0.0, "perhaps", 18.0), avg_logprob=-2.0)
            if request.temperature < 0.4
            else said_throughout(span_of(request))
        )
    )

    _, callers = start_together(decoder, *(talk(3, from_s=n) for n in (0.0, 1.0, 2.0)))

    assert [caller.wait() for caller in callers] == [None] * 3
    assert all(len(caller.run_.segments) == 3 for caller in callers)
    assert {request.temperature for request in decoder.admitted} == {0.0, 0.2, 0.4}
