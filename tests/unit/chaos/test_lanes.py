import pytest

from chaos.lanes import Bar, Outcome, bars_of, lanes_of, pids_of, slot_of
from tests.unit.chaos.builders import (
    COMPLETED,
    REAPED,
    STARTED,
    STARTED_AGAIN,
    SUBMITTED,
    make_events,
    make_fault,
)


def bar(owner, start, end):
    return Bar(owner, start, end, Outcome.COMPLETED)


@pytest.mark.parametrize(
    ("ending", "outcome"),
    [
        (COMPLETED, Outcome.COMPLETED),
        (REAPED, Outcome.LOST),
        (("retry", "pending", 1), Outcome.RETRIED),
        (("released", "pending", 0), Outcome.RELEASED),
    ],
)
def test_an_attempt_is_a_bar_from_its_start_to_what_ended_it(ending, outcome):
    [drawn] = bars_of([make_events(1, SUBMITTED, STARTED, ending)], [], end=9.0)

    assert (drawn.start, drawn.end, drawn.outcome, drawn.is_cut) == (1.0, 2.0, outcome, False)


def test_an_attempt_without_an_end_lasts_until_the_end_of_the_picture():
    [drawn] = bars_of([make_events(1, SUBMITTED, STARTED)], [], end=9.0)

    assert (drawn.end, drawn.outcome) == (9.0, Outcome.OPEN)


def test_a_remark_does_not_end_an_attempt():
    remark = ("resumed", "processing", 1)

    [drawn] = bars_of([make_events(1, SUBMITTED, STARTED, remark, COMPLETED)], [], end=9.0)

    assert (drawn.start, drawn.end) == (1.0, 3.0)


@pytest.mark.parametrize("killed", [100, 101])
def test_the_bar_of_a_killed_process_ends_with_it_and_not_with_the_reaper(killed):
    events = make_events(1, SUBMITTED, STARTED, REAPED, STARTED_AGAIN)

    [lost, again] = bars_of([events], [make_fault(at=1.25, killed=(killed,))], end=9.0)

    assert (lost.end, lost.is_cut) == (1.25, True)
    assert (again.end, again.is_cut) == (9.0, False)


def test_children_that_replace_each_other_share_a_lane_and_neighbours_do_not():
    bars = [
        bar("h:1/10", 0.0, 1.0),
        bar("h:1/11", 0.5, 4.0),
        bar("h:1/12", 2.0, 3.0),  # started after 10 was gone
        bar("h:2/20", 0.0, 9.0),
    ]

    lanes = lanes_of(bars, {1: 0, 2: 1})

    assert [(lane.slot, lane.number) for lane in lanes] == [(0, 0), (0, 1), (1, 0)]
    assert [[b.owner for b in lane.bars] for lane in lanes] == [
        ["h:1/10", "h:1/12"],
        ["h:1/11"],
        ["h:2/20"],
    ]


def test_a_worker_that_nobody_saw_has_a_lane_at_the_end():
    lanes = lanes_of([bar("h:7/8", 0.0, 1.0), bar("h:1/2", 2.0, 3.0)], {1: 0})

    assert [lane.slot for lane in lanes] == [0, None]


@pytest.mark.parametrize(
    ("owner", "expected"),
    [("host:12/34", (12, 34)), ("a:b:12/34", (12, 34)), ("reconciler", (-1, -1))],
)
def test_a_lease_owner_names_its_processes(owner, expected):
    assert pids_of(owner) == expected


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["python", "worker.py", "worker", "--name", "worker-2"], 1),
        (["python", "worker.py", "worker"], 0),
        (["python", "worker.py", "worker", "--name", "odd"], 0),
    ],
)
def test_the_name_of_a_worker_tells_its_place(command, expected):
    assert slot_of(command) == expected
