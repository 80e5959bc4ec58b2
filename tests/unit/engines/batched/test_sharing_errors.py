import pytest

from domain.errors import EngineError, OutOfMemory, Stopped
from engines.batched.sharing import SharedDecoder
from tests.unit.engines.batched.callers import (
    Caller,
    decode_alone,
    start_all,
    start_together,
    talk,
)
from tests.unit.engines.batched.scripted import (
    WITH_WORDS,
    ScriptedDecoder,
    ScriptedListener,
    span_of,
)

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
    def find_words(self, parts):
        raise KeyError("no words")


def refuse_windows(_window):
    raise KeyError("nowhere to keep it")


BAD_RUNS = {
    "it cannot be encoded": lambda: talk(4, listener=ScriptedListener(fail_at_s=40.0)),
    "its words cannot be found": lambda: talk(4, options=WITH_WORDS, listener=RefusingListener()),
    "its words cannot be found when they leave": lambda: talk(
        4, options=WITH_WORDS, listener=RefusingListener(words_at_a_time=8)
    ),
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
