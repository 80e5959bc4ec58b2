"""Who goes first: the urgent, then clients in turns; what waits may be moved."""

import pytest

from tests.acceptance.conftest import await_value

SLOTS = 2
HOLD = "fake: rtfx=2"  # 11 seconds of speech hold a slot for 5.5 s
LONG_HOLD = "fake: rtfx=0.4"  # for 27 s
STEP = "fake: rtfx=55"  # and for 0.2 s
RETRY_S = 10  # longer than it takes to see forty jobs fail for the first time


@pytest.fixture(scope="module")
def busy(make_server):
    """A server whose engine takes as long as it is told, and whose jobs try twice."""
    return make_server(
        WHISPER_ENGINE="fake",
        CELERY_CONCURRENCY=str(SLOTS),
        MAX_ATTEMPTS="2",
        RETRY_BASE_S=str(RETRY_S),
    )


@pytest.fixture
def held(busy, short_speech):
    """The server with all of its slots taken for some seconds."""

    def hold(prompt=HOLD):
        jobs = [
            busy.submit(short_speech, initial_prompt=prompt, priority="high") for _ in range(SLOTS)
        ]
        busy.await_start(*jobs)
        return jobs

    yield hold
    left = busy.query("SELECT id, status FROM transcription_jobs WHERE completed_at IS NULL")
    for job_id, _ in left:
        busy.client.delete(f"/transcribe/{job_id}")
    for job_id, status in left:
        if status == "processing":
            busy.await_job(job_id)


def starts_after(server, blockers):
    """The order in which jobs started since the blockers did."""
    order = server.started()
    return order[1 + max(order.index(job) for job in blockers) :]


def await_starts(server, blockers, *jobs):
    await_value(lambda: set(jobs) <= set(starts_after(server, blockers)), 120, "the jobs to start")
    return starts_after(server, blockers)


def test_no_lower_job_starts_before_the_last_urgent_one(busy, held, short_speech):
    retries = [busy.submit(short_speech, initial_prompt="fake: fails") for _ in range(40)]
    for job in retries:
        await_value(lambda job=job: busy.job(job)["attempt"] == 1, 60, "the first attempts to fail")
    blockers = held(LONG_HOLD)
    normal = [busy.submit(short_speech, initial_prompt=STEP) for _ in range(100)]
    await_value(
        lambda: all(busy.job(job)["next_attempt_at"] is None for job in retries),
        60,
        "the retries to be due",
    )

    urgent = [busy.submit(short_speech, initial_prompt=STEP, priority="high") for _ in range(10)]
    order = await_starts(busy, blockers, *urgent, *normal, *retries)

    assert set(order[:10]) == set(urgent)
    assert set(order[10:110]) == set(normal)
    assert set(order[110:]) == set(retries)


def test_a_waiting_job_that_is_made_urgent_goes_next(busy, held, short_speech):
    blockers = held()
    waiting = [busy.submit(short_speech, initial_prompt=STEP) for _ in range(20)]

    answer = busy.client.patch(f"/jobs/{waiting[-1]}", json={"priority": "high"})
    order = await_starts(busy, blockers, *waiting)

    assert (answer.status_code, answer.json()["priority"]) == (200, "high")
    assert answer.json()["queue_position"] == 1
    assert order[0] == waiting[-1]
    assert "reprioritised" in busy.events(waiting[-1])


def test_a_job_that_runs_cannot_be_moved(busy, held):
    [blocker, _] = held()

    answer = busy.client.patch(f"/jobs/{blocker}", json={"priority": "normal"})

    assert (answer.status_code, answer.json()["code"]) == (409, "job_state_conflict")


def test_a_thousand_files_of_one_client_do_not_hold_up_the_one_of_another(busy, held, short_speech):
    blockers = held()
    many = [busy.submit(short_speech, initial_prompt=STEP, client="archive") for _ in range(1000)]

    single = busy.submit(short_speech, initial_prompt=STEP, client="reporter")
    submitted_behind = len(starts_after(busy, blockers))
    await_starts(busy, blockers, single)
    order = starts_after(busy, blockers)

    between = order[submitted_behind : order.index(single)]
    # Those that took a slot while the submission was on its way, and one whose turn it was.
    assert len(between) <= SLOTS + 2
    assert len(set(many) & set(order)) < 1000
