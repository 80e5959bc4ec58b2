"""Who gets a slot next."""

from engines.batched.sharing import MAX_WAIT_S
from tests.unit.engines.batched.callers import EndlessDecoder, start_together, talk, wait_for
from tests.unit.engines.batched.scripted import ScriptedDecoder, span_of

SPACING_S = 40.0  # between two windows of a recording: see `talk`


class Clock:
    """Goes on by so much with every step of the decoder."""

    def __init__(self, decoder, *, step_s):
        self.time_s = 0.0
        step = decoder.step

        def step_and_tick():
            self.time_s += step_s
            return step()

        decoder.step = step_and_tick

    def __call__(self):
        return self.time_s


def admissions(decoder, *recordings, step_s=0.001):
    """Which recording got a slot, in order. A recording is (windows, is_urgent)."""
    runs = [talk(windows, from_s=n) for n, (windows, _) in enumerate(recordings)]
    calls = [{"is_urgent": is_urgent} for _, is_urgent in recordings]
    clock = Clock(decoder, step_s=step_s)
    _, callers = start_together(decoder, *runs, calls=calls, now_s=clock)
    assert [caller.wait() for caller in callers] == [None] * len(recordings)
    return [int(span_of(request).start_s % SPACING_S) for request in decoder.admitted]


def test_urgent_recordings_go_before_others():
    order = admissions(ScriptedDecoder(slots=1), (3, False), (3, True))

    assert order == [1, 1, 1, 0, 0, 0]


def test_within_a_class_who_holds_fewest_slots_goes_first():
    order = admissions(
        ScriptedDecoder(slots=4), (6, True), (2, True), (6, False), (1, False), step_s=0.001
    )

    assert order[:4] == [0, 1, 0, 1]
    assert order.index(3) < order.index(2) + 2


def test_who_holds_as_many_slots_takes_turns():
    order = admissions(ScriptedDecoder(slots=1), (3, False), (3, False), (3, False))

    assert order == [0, 1, 2, 0, 1, 2, 0, 1, 2]


def test_who_was_given_no_slot_for_long_goes_first_whatever_its_class():
    order = admissions(
        ScriptedDecoder(slots=1, steps=1), (20, True), (2, False), step_s=MAX_WAIT_S / 4
    )

    # After four steps the second one is overdue, and after as many without a slot once more.
    assert [place for place, who in enumerate(order) if who == 1] == [4, 9]


def test_where_all_have_waited_for_long_urgent_ones_still_get_every_other_slot():
    crowd = [(5, False)] * 6

    order = admissions(ScriptedDecoder(slots=1, steps=1), *crowd, (4, True), step_s=MAX_WAIT_S)

    assert [place for place, who in enumerate(order) if who == 6] == [0, 2, 4, 6]


def test_where_urgent_ones_have_all_waited_for_long_others_are_not_starved():
    crowd = [(5, True)] * 6

    order = admissions(ScriptedDecoder(slots=1, steps=1), *crowd, (2, False), step_s=MAX_WAIT_S)

    assert order.index(6) <= 2 * len(crowd) + 1


def test_who_has_a_window_in_the_slots_is_not_waiting():
    decoder = EndlessDecoder(endless={0.0}, slots=2)
    clock = Clock(decoder, step_s=MAX_WAIT_S)
    runs = talk(2), talk(6, from_s=1.0)
    stop = []
    calls = [{"should_stop": lambda: bool(stop)}, {"is_urgent": True}]

    _, (slow, urgent) = start_together(decoder, *runs, calls=calls, now_s=clock)
    error = urgent.wait()
    wait_for(lambda: len(decoder.admitted) == 8)
    stop.append(True)

    assert error is None
    assert slow.wait() is not None
    starts = [span_of(request).start_s for request in decoder.admitted]
    assert starts[-1] == SPACING_S  # the second window of the one that has waited for its first
