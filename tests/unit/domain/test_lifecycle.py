from domain.lifecycle import TERMINAL, TRANSITIONS, JobStatus


def test_every_state_has_its_ways_out_written_down():
    assert set(TRANSITIONS) == set(JobStatus)


def test_only_an_operator_brings_a_job_back_from_an_end():
    ways_back = {state: TRANSITIONS[state] for state in TERMINAL if TRANSITIONS[state]}

    assert ways_back == {JobStatus.FAILED: frozenset({JobStatus.PENDING})}
