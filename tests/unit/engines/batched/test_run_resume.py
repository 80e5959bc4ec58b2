import pytest

from engines.batched.plan import plan_windows
from tests.kept_windows import through_json
from tests.unit.engines.batched.heard_out import (
    TALK,
    four_talks,
    hear_out,
)
from tests.unit.engines.batched.scripted import (
    make_run,
    speech_map,
)


@pytest.mark.parametrize("kept", range(5))
def test_after_some_windows_the_rest_is_that_of_an_undisturbed_run(kept):
    windows, added = [], []
    undisturbed = make_run(four_talks(), on_window=windows.append)
    hear_out(undisturbed)

    resumed = make_run(four_talks(), resume=through_json(windows[:kept]), on_window=added.append)
    requests = hear_out(resumed)

    assert resumed.segments == undisturbed.segments
    assert added == windows[kept:]
    assert len(requests) == sum(
        window.speech is not None for window in plan_windows(four_talks())[kept:]
    )


def test_kept_windows_hand_over_where_the_plan_does_and_carry_the_language():
    windows = []

    hear_out(make_run(four_talks(), on_window=windows.append))

    ends_s = [window.end_s for window in plan_windows(four_talks())]
    assert [window.next_seek for window in windows] == [round(s * 100) for s in ends_s[:-1]]
    assert [window.number for window in windows] == list(range(len(windows)))
    assert all(window.carried == {"language": "en"} for window in windows)


@pytest.mark.parametrize(
    "other",
    [
        speech_map((0.0, 17.0), *TALK[1:], duration_s=140.0),
        speech_map((0.0, 18.0), duration_s=18.0),
    ],
    ids=["cut elsewhere", "fewer windows than are kept"],
)
def test_kept_windows_that_were_cut_at_other_places_are_decoded_anew(other):
    windows, added = [], []
    hear_out(make_run(four_talks(), on_window=windows.append))

    resumed = make_run(other, resume=windows, on_window=added.append)
    hear_out(resumed)

    assert resumed.segments[0].end == other.spans[0].end_s
    assert [window.number for window in added] == list(range(len(added)))
