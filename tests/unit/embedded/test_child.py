import pytest

from embedded.child import Child
from embedded.service import Service


@pytest.fixture
def child():
    return Child(Service(name="stub", argv=("true",), environment={}))


def test_pauses_between_restarts_double_up_to_a_cap(child):
    pauses_s = [child.schedule_restart(now=1.0) for _ in range(7)]

    assert pauses_s == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_a_child_that_ran_for_long_restarts_with_the_shortest_pause(child):
    for _ in range(4):
        child.schedule_restart(now=1.0)

    assert child.schedule_restart(now=1_000.0) == 1.0
    assert child.restart_at == 1_001.0


def test_a_child_that_was_never_started_is_not_running(child):
    assert not child.is_running
    assert child.exit_code is None
    assert child.pid is None
