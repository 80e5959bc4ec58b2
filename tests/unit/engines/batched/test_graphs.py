"""Steps are recorded once for each number of slots and replayed; without graphs they are run."""

from contextlib import contextmanager

import pytest

from engines.batched.graphs import StepGraphs


class Recorder:
    """Counts the steps, and remembers which ran while nothing should be written."""

    def __init__(self):
        self.steps = []
        self.is_guarded = False

    def step(self, count, *, is_drawing):
        self.steps.append((count, is_drawing, self.is_guarded))

    @contextmanager
    def guard(self):
        self.is_guarded = True
        try:
            yield
        finally:
            self.is_guarded = False


@pytest.fixture
def recorder():
    return Recorder()


def test_a_kind_of_step_is_recorded_once_under_guard_and_then_replayed(recorder):
    captured = []

    def capture(run):
        run()
        captured.append(run)
        return run

    graphs = StepGraphs(recorder.step, capture, recorder.guard)
    for _ in range(3):
        graphs.run(4, is_drawing=False)

    assert len(captured) == 1
    assert recorder.steps == [(4, False, True), *[(4, False, False)] * 3]
    assert graphs.are_used


def test_every_number_of_slots_has_a_graph_with_draws_and_one_without(recorder):
    captured = []

    def capture(run):
        captured.append(run)
        return run

    graphs = StepGraphs(recorder.step, capture, recorder.guard)
    for kind in [(1, False), (2, False), (2, True), (2, False), (1, False)]:
        graphs.run(kind[0], is_drawing=kind[1])

    assert len(captured) == 3
    assert [step[:2] for step in recorder.steps] == [
        (1, False),
        (2, False),
        (2, True),
        (2, False),
        (1, False),
    ]


def test_without_graphs_steps_are_run_and_the_reason_is_logged_once(recorder, caplog):
    def fail(_run):
        raise RuntimeError("not on this GPU")

    graphs = StepGraphs(recorder.step, fail, recorder.guard)
    for count in (2, 2, 4):
        graphs.run(count, is_drawing=False)

    assert [step[0] for step in recorder.steps] == [2, 2, 4]
    [record] = caplog.records
    assert (record.message, record.reason) == ("graphs_unavailable", "not on this GPU")
    assert not graphs.are_used


def test_where_nothing_can_capture_steps_are_run_without_a_word(recorder, caplog):
    graphs = StepGraphs(recorder.step, None, recorder.guard)

    graphs.run(2, is_drawing=True)

    assert recorder.steps == [(2, True, False)]
    assert caplog.records == []
