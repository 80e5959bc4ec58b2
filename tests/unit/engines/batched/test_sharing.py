import threading
import time
from contextlib import contextmanager
from itertools import pairwise, zip_longest

import pytest

from domain.errors import EngineError, OutOfMemory, Stopped
from engines.batched.sharing import SharedDecoder
from tests.unit.engines.batched.scripted import (
    ScriptedDecoder,
    ScriptedListener,
    make_run,
    said,
    said_throughout,
    span_of,
    speech_map,
)

PATIENCE_S = 20


def talk(windows, *, from_s=0.0, **options):
    """A run of so many windows; recordings differ in where they begin to speak."""
    spans = [(from_s + 40.0 * n, from_s + 40.0 * n + 18.0) for n in range(windows)]
    return make_run(speech_map(*spans, duration_s=spans[-1][1]), **options)


class Caller(threading.Thread):
    """A thread that has one recording decoded."""

    def __init__(self, shared, run, *, should_stop=lambda: False, on_progress=lambda _: None):
        super().__init__(daemon=True)
        self._arguments = (shared, run, should_stop, on_progress)
        self.run_ = run
        self.error = None

    def run(self):
        shared, run, should_stop, on_progress = self._arguments
        try:
            shared.decode(run, should_stop=should_stop, on_progress=on_progress)
        except BaseException as error:  # noqa: BLE001 - looked at by the test
            self.error = error

    def wait(self):
        self.join(PATIENCE_S)
        assert not self.is_alive()
        return self.error


def start_all(callers):
    for caller in callers:
        caller.start()
    return callers


def wait_until(event):
    assert event.wait(PATIENCE_S)


def wait_for(condition):
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.001)


def start_together(decoder, *runs, calls=()):
    """Callers whose recordings are all there before the decoder's first step."""
    gate = threading.Event()
    shared = SharedDecoder(decoder, lambda: wait_until(gate))
    callers = [Caller(shared, run, **own) for run, own in zip_longest(runs, calls, fillvalue={})]
    for caller in callers:
        caller.start()
    wait_for(lambda: len(shared._guests) == len(runs))
    gate.set()
    return shared, callers


def decode_alone(run, **calls):
    shared = SharedDecoder(ScriptedDecoder(), lambda: None)
    shared.decode(run, **{"should_stop": lambda: False, "on_progress": lambda _: None, **calls})
    return run.segments


class GatedDecoder(ScriptedDecoder):
    """Waits in its steps until it is let go on; its windows end when told to."""

    def __init__(self, slots=4, **options):
        super().__init__(slots, **options)
        self.in_step = threading.Event()
        self.may_go_on = threading.Event()

    def step(self):
        self.in_step.set()
        wait_until(self.may_go_on)
        return super().step()


class EndlessDecoder(ScriptedDecoder):
    """Windows that begin at one of these times never end."""

    def __init__(self, endless, slots=4):
        super().__init__(slots)
        self._endless = endless

    def step(self):
        for entry in self.busy.values():
            if span_of(entry[1]).start_s in self._endless:
                entry[0] += 1
        return super().step()


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


@pytest.mark.parametrize("others", [0, 3])
def test_who_is_to_stop_at_once_decodes_nothing(others):
    decoder = ScriptedDecoder()
    shared = SharedDecoder(decoder, lambda: None)
    start_all(working := [Caller(shared, talk(5)) for _ in range(others)])
    listener = ScriptedListener()
    run = make_run(speech_map((0.0, 9.0), duration_s=9.0), listener=listener)

    with pytest.raises(Stopped):
        shared.decode(run, should_stop=lambda: True, on_progress=pytest.fail)

    assert listener.encoded == []
    assert [caller.wait() for caller in working] == [None] * others


def test_a_stop_of_one_lets_the_others_go_on_and_frees_its_slots():
    decoder = EndlessDecoder(endless={7.0, 47.0, 87.0}, slots=4)
    shared = SharedDecoder(decoder, lambda: None)
    stop = threading.Event()
    stuck = Caller(shared, talk(3, from_s=7.0), should_stop=stop.is_set)
    others = [Caller(shared, talk(10, from_s=n)) for n in (0.0, 1.0)]
    start_all([stuck])
    wait_for(lambda: len(decoder.busy) == 3)
    start_all(others)
    wait_for(lambda: others[0].run_.segments)

    stop.set()

    assert isinstance(stuck.wait(), Stopped)
    assert [caller.wait() for caller in others] == [None, None]
    assert [len(caller.run_.segments) for caller in others] == [10, 10]
    assert sum(decoder.released.values()) == 3
    assert decoder.free == 4


def test_who_waits_is_stopped_while_the_driver_is_busy_and_its_late_text_is_ignored():
    decoder = GatedDecoder(steps=1)
    guest_in_slot, stop = threading.Event(), threading.Event()
    first_step = decoder.step

    def step():
        if any(span_of(request).start_s == 3.0 for _, request in decoder.busy.values()):
            guest_in_slot.set()
            return first_step()
        return []

    decoder.step = step
    shared = SharedDecoder(decoder, lambda: None)
    driver = Caller(shared, talk(1))
    guest = Caller(shared, talk(2, from_s=3.0), should_stop=stop.is_set, on_progress=pytest.fail)
    start_all([driver])
    wait_for(lambda: decoder.busy)
    start_all([guest])
    wait_until(guest_in_slot)

    stop.set()
    error = guest.wait()
    segments = list(guest.run_.segments)
    decoder.may_go_on.set()

    assert isinstance(error, Stopped)
    assert driver.wait() is None
    assert guest.run_.segments == segments == []
    assert decoder.free == 4


FAULTS = {
    "should_stop": lambda fail: {"should_stop": fail},
    "on_progress": lambda fail: {"on_progress": fail},
}


def fail(*_):
    raise KeyError("this recording's")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("place", ["driver", "guest"])
def test_an_error_in_one_recordings_calls_is_its_own(fault, place):
    decoder = ScriptedDecoder()
    calls = [FAULTS[fault](fail), {}] if place == "driver" else [{}, FAULTS[fault](fail)]

    _, callers = start_together(decoder, talk(4), talk(4, from_s=2.0), calls=calls)

    errors = [caller.wait() for caller in callers]
    failed, well = errors if place == "driver" else errors[::-1]
    assert isinstance(failed, KeyError)
    assert well is None
    assert decoder.free == 4


class RefusingListener(ScriptedListener):
    def find_words(self, segments, span, features):
        raise KeyError("no words")


def refuse_windows(_window):
    raise KeyError("nowhere to keep it")


BAD_RUNS = {
    "it cannot be encoded": lambda: talk(4, listener=ScriptedListener(fail_at_s=40.0)),
    "its words cannot be found": lambda: talk(4, listener=RefusingListener()),
    "its windows cannot be kept": lambda: talk(4, on_window=refuse_windows),
}


@pytest.mark.parametrize("bad", BAD_RUNS.values(), ids=BAD_RUNS)
@pytest.mark.parametrize("comes_first", [True, False])
def test_what_goes_wrong_with_one_recording_hits_no_other(bad, comes_first):
    decoder = ScriptedDecoder()
    runs = [bad(), talk(9, from_s=1.0)]

    _, callers = start_together(decoder, *(runs if comes_first else runs[::-1]))

    failing, well = callers if comes_first else callers[::-1]
    assert isinstance(failing.wait(), (KeyError, ValueError))
    assert well.wait() is None
    assert len(well.run_.segments) == 9
    assert decoder.free == 4


class FailingDecoder(ScriptedDecoder):
    """Fails once, in the given call, when two recordings are in its slots."""

    def __init__(self, call, error):
        super().__init__(slots=4, steps=5)
        self._call, self._error = call, error

    def admit(self, request):
        slot = super().admit(request)
        self._fail("admit")
        return slot

    def step(self):
        self._fail("step")
        return [] if self._call else super().step()

    def _fail(self, call):
        if call == self._call and len({span_of(r).start_s % 40 for _, r in self.busy.values()}) > 1:
            self._call = None
            raise self._error


@pytest.mark.parametrize("call", ["admit", "step"])
def test_an_error_of_the_decoder_reaches_everybody_and_leaves_all_slots_free(call):
    decoder = FailingDecoder(call, OutOfMemory("full", device="cpu"))
    _, callers = start_together(decoder, talk(2), talk(2, from_s=1.0))

    errors = [caller.wait() for caller in callers]

    assert [type(error) for error in errors] == [OutOfMemory, OutOfMemory]
    assert decoder.free == 4


def test_after_an_error_of_the_decoder_it_can_be_used_again():
    decoder = FailingDecoder("step", OutOfMemory("full", device="cpu"))
    shared, callers = start_together(decoder, talk(2), talk(2, from_s=1.0))
    for caller in callers:
        assert isinstance(caller.wait(), OutOfMemory)

    run = talk(3)
    shared.decode(run, should_stop=lambda: False, on_progress=lambda _: None)

    assert run.segments == decode_alone(talk(3))


def test_an_interrupt_of_the_thread_that_drives_is_an_error_for_the_others():
    decoder = FailingDecoder("step", KeyboardInterrupt())
    _, callers = start_together(decoder, talk(2), talk(2, from_s=1.0))

    errors = [caller.wait() for caller in callers]

    assert {type(error) for error in errors} == {KeyboardInterrupt, EngineError}
    assert decoder.free == 4


def test_a_failure_before_a_step_reaches_everybody():
    def fail_before():
        raise OSError("no threads left")

    shared = SharedDecoder(ScriptedDecoder(), fail_before)

    with pytest.raises(OSError, match="no threads"):
        shared.decode(talk(1), should_stop=lambda: False, on_progress=lambda _: None)


def test_what_a_failed_step_computed_is_given_back():
    class Big:
        alive = 0

        def __init__(self):
            Big.alive += 1

        def __del__(self):
            Big.alive -= 1

    class Full(ScriptedDecoder):
        def step(self):
            _logits = Big()
            raise RuntimeError("out of memory")

    shared = SharedDecoder(Full(), lambda: None)

    with pytest.raises(RuntimeError) as caught:
        shared.decode(talk(1), should_stop=lambda: False, on_progress=lambda _: None)

    assert caught.value.__traceback__ is not None
    assert Big.alive == 0


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


def test_many_threads_that_come_go_stop_and_fail_leave_all_slots_free():
    decoder = ScriptedDecoder(slots=3)
    shared = SharedDecoder(decoder, lambda: None)

    def caller(number):
        asked = []

        def should_stop():
            asked.append(number)
            if number % 5 == 1 and len(asked) > 3:
                raise KeyError(number)
            return number % 5 == 2 and len(asked) > 2

        bad = number % 5 == 3
        listener = ScriptedListener(fail_at_s=40.0 + number if bad else None)
        run = talk(number % 7 + 2, from_s=number, listener=listener)
        return Caller(shared, run, should_stop=should_stop)

    callers = start_all([caller(number) for number in range(40)])

    errors = [type(caller.wait()) for caller in callers]
    kinds = [type(None), KeyError, Stopped, ValueError, type(None)]
    assert errors == [kinds[number % 5] for number in range(40)]
    assert decoder.free == 3
    assert shared._guests == shared._left == []
