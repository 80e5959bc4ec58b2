import pytest

from chaos.faults import FaultKind, plan_faults, released_by


def test_the_same_seed_gives_the_same_faults_and_another_seed_others():
    assert plan_faults(1, 20) == plan_faults(1, 20)
    assert plan_faults(1, 20) != plan_faults(2, 20)


@pytest.mark.parametrize("count", [11, 13, 20, 37])
def test_every_kind_comes_in_every_round_of_the_plan(count):
    plan = plan_faults(3, count)

    assert len(plan) == count
    for start in range(0, count - len(FaultKind) + 1, len(FaultKind)):
        assert {*plan[start : start + len(FaultKind)]} == {*FaultKind}


def test_a_plan_without_room_for_every_kind_is_refused():
    with pytest.raises(ValueError, match="10 faults"):
        plan_faults(1, 10)


def test_every_fault_is_handed_some_of_the_jobs_and_the_last_one_the_rest():
    released = [released_by(30, 20, index) for index in range(20)]

    assert released[0] >= 1
    assert released == sorted(released)
    assert released[-1] == 30


def test_every_kind_has_a_short_name_of_its_own():
    assert len({kind.short for kind in FaultKind}) == len(FaultKind)
