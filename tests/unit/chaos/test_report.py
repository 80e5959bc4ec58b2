import json

import pytest

from chaos.checks import Check
from chaos.faults import FaultKind
from chaos.lanes import lanes_of
from chaos.report import Outcome, by_kind, markdown, seconds, show, totals, write_json
from chaos.run import picture_of
from chaos.timeline import draw, lane_label, spread
from tests.unit.chaos.builders import (
    REAPED,
    STARTED,
    STARTED_AGAIN,
    SUBMITTED,
    job_id,
    make_events,
    make_fault,
    make_job,
    make_ledger,
)


@pytest.fixture
def outcome():
    return Outcome(
        seed=7,
        ledger=make_ledger(events=make_events(1, SUBMITTED, STARTED, REAPED, STARTED_AGAIN)),
        faults=[
            make_fault(at=1.5, slot=0, hit=(job_id(1),), killed=(101,), back_after_s=0.5),
            make_fault(number=2, kind=FaultKind.FREEZE, at=1.75, slot=0, thawed_at=2.5),
        ],
        checks=[Check("every job completed", ("1 is processing",))],
        wall_s=3.0,
        repeats=2,
        found_again=1,
        fenced_off=0,
        machine="two cores",
    )


def test_the_report_counts_starts_beyond_the_jobs(outcome):
    figures = dict(totals(outcome))

    assert figures["starts"] == "2, 1 more than jobs"
    assert figures["jobs by starts"] == "1 with 2"
    assert figures["faults"] == "2 of 2 kinds"


def test_a_job_that_exists_twice_counts_as_extra(outcome):
    twins = [make_job(1, filename="speech00-0001.wav"), make_job(2, filename="speech00-0001.wav")]

    twice = Outcome(**{**vars(outcome), "ledger": make_ledger(jobs=twins)})

    assert (outcome.extra_jobs, twice.extra_jobs) == (0, 1)


def test_recoveries_stand_under_their_kind(outcome):
    found = by_kind(outcome)

    assert [*found] == [FaultKind.CHILD, FaultKind.FREEZE]
    assert [after.hit_s for _, after in found[FaultKind.CHILD]] == [1.5]


@pytest.mark.parametrize(
    ("values", "expected"), [([1.0, 9.0, 2.0], "2.0 / 9.0"), ([None, 3.0], "3.0 / 3.0"), ([], "-")]
)
def test_times_are_shown_as_median_and_largest(values, expected):
    assert seconds(values) == expected


def test_the_tables_show_every_kind_and_every_check(outcome, capsys):
    show(outcome)

    printed = capsys.readouterr().out
    assert "kill -9 prefork child" in printed
    assert "FAILED  every job completed: 1 is processing" in printed


def test_the_tables_come_as_markdown_too(outcome):
    lines = markdown(outcome).splitlines()

    assert "| seed | 7 |" in lines
    assert (
        "| kill -9 prefork child | 1 | 1.5 / 1.5 | 1.5 / 1.5 | 0.5 / 0.5 | 1 | 1.5 / 1.5 |" in lines
    )


def test_the_json_holds_what_was_measured(outcome, tmp_path):
    write_json(outcome, tmp_path / "report.json")

    content = json.loads((tmp_path / "report.json").read_text())
    assert content["is_ok"] is False
    assert content["faults"][0]["recovery"]["hit_s"] == 1.5
    assert len(content["events"]) == 4


def test_a_picture_is_drawn_as_svg_and_as_png(outcome, tmp_path):
    picture = picture_of(outcome, {100: 0})

    draw(picture, tmp_path / "timeline.svg", tmp_path / "timeline.png")

    assert (tmp_path / "timeline.svg").read_text().rstrip().endswith("</svg>")
    assert (tmp_path / "timeline.png").read_bytes().startswith(b"\x89PNG")
    assert "a promise was broken" in picture.title


def test_labels_that_stand_too_close_are_moved_apart():
    assert spread([0.0, 1.0, 1.5, 9.0], 2.0) == [0.0, 2.0, 4.0, 9.0]


def test_a_lane_is_named_after_its_worker(outcome):
    known, unknown = (
        lanes_of(picture_of(outcome, slots).lanes[0].bars, slots)[0] for slots in ({100: 1}, {})
    )

    assert (lane_label(known), lane_label(unknown)) == ("worker 2, child 1", "another worker")
