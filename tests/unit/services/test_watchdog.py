import pytest

from config import Settings
from domain.errors import DecodeStalled, TimeLimitExceeded
from domain.lifecycle import Step
from services.watchdog import StopReason, Watchdog, error_of

STALL_AFTER_S = 300.0
KILL_AFTER_S = 30.0
TIME_LIMIT_BASE_S = 600.0
TIME_LIMIT_FACTOR = 10.0
MOMENT_S = 0.001


class Clock:
    """A clock that the test moves."""

    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def settings():
    return Settings(
        _env_file=None,
        stall_after_s=STALL_AFTER_S,
        kill_stuck_after_s=KILL_AFTER_S,
        time_limit_base_s=TIME_LIMIT_BASE_S,
        time_limit_factor=TIME_LIMIT_FACTOR,
    )


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def watchdog(settings, clock):
    return Watchdog(settings, clock)


def test_a_decode_without_progress_is_stopped(watchdog, clock):
    watchdog.see(Step.TRANSCRIBING)

    clock.now += STALL_AFTER_S
    watchdog.look()
    before = watchdog.reason
    clock.now += MOMENT_S
    watchdog.look()

    assert (before, watchdog.reason) == (None, StopReason.STALLED)


def test_every_sign_of_progress_starts_the_wait_anew(watchdog, clock):
    watchdog.see(Step.TRANSCRIBING)
    for _ in range(5):
        clock.now += STALL_AFTER_S
        watchdog.see(None)

    clock.now += STALL_AFTER_S
    watchdog.look()

    assert watchdog.reason is None


@pytest.mark.parametrize("step", [Step.DECODING_AUDIO, Step.LOADING_MODEL, Step.SAVING])
def test_only_the_decode_is_watched_for_progress(watchdog, clock, step):
    watchdog.see(Step.TRANSCRIBING)
    watchdog.see(step)

    clock.now += 100 * STALL_AFTER_S
    watchdog.look()

    assert watchdog.reason is None


def test_the_time_spent_on_loading_does_not_count_against_the_decode(watchdog, clock):
    watchdog.see(Step.LOADING_MODEL)
    clock.now += 100 * STALL_AFTER_S
    watchdog.see(Step.TRANSCRIBING)

    clock.now += STALL_AFTER_S
    watchdog.look()

    assert watchdog.reason is None


@pytest.mark.parametrize("duration_s", [0.0, 61.0, 14_400.0])
def test_the_time_limit_follows_the_length_of_the_recording(watchdog, clock, duration_s):
    watchdog.limit(duration_s)

    clock.now += TIME_LIMIT_BASE_S + TIME_LIMIT_FACTOR * duration_s
    watchdog.look()
    before = watchdog.reason
    clock.now += MOMENT_S
    watchdog.look()

    assert (before, watchdog.reason) == (None, StopReason.TIME_LIMIT)


def test_progress_does_not_move_the_time_limit(watchdog, clock):
    watchdog.limit(0.0)
    watchdog.see(Step.TRANSCRIBING)
    while clock.now <= 1_000.0 + TIME_LIMIT_BASE_S:
        clock.now += STALL_AFTER_S / 2
        watchdog.see(None)

    watchdog.look()

    assert watchdog.reason is StopReason.TIME_LIMIT


def test_there_is_no_time_limit_before_the_length_is_known(watchdog, clock):
    clock.now += 1e9
    watchdog.look()

    assert watchdog.reason is None


def test_the_first_reason_to_stop_stays(watchdog, clock):
    watchdog.stop(StopReason.CANCELLED)
    watchdog.stop(StopReason.DRAINING)
    watchdog.limit(0.0)
    clock.now += 2 * TIME_LIMIT_BASE_S
    watchdog.look()

    assert watchdog.reason is StopReason.CANCELLED


def test_work_that_was_told_to_end_has_a_while_to_do_so(watchdog, clock):
    clock.now += 100 * KILL_AFTER_S
    watchdog.stop(StopReason.CANCELLED)

    clock.now += KILL_AFTER_S
    before = watchdog.is_ignored
    clock.now += MOMENT_S

    assert (before, watchdog.is_ignored) == (False, True)


def test_a_second_reason_does_not_give_it_more_time(watchdog, clock):
    watchdog.stop(StopReason.CANCELLED)
    clock.now += KILL_AFTER_S
    watchdog.stop(StopReason.LEASE_LOST)
    clock.now += MOMENT_S

    assert watchdog.is_ignored


def test_work_that_nobody_stopped_is_never_called_stuck(watchdog, clock):
    clock.now += 1e9

    assert not watchdog.is_ignored


@pytest.mark.parametrize(
    ("reason", "kind", "code"),
    [
        (StopReason.STALLED, DecodeStalled, "decode_stalled"),
        (StopReason.TIME_LIMIT, TimeLimitExceeded, "time_limit_exceeded"),
    ],
)
def test_a_stop_that_nobody_asked_for_is_a_passing_failure(settings, reason, kind, code):
    error = error_of(reason, settings)

    assert type(error) is kind
    assert (error.code, error.is_transient) == (code, True)


@pytest.mark.parametrize(
    "reason", [None, StopReason.CANCELLED, StopReason.LEASE_LOST, StopReason.DRAINING]
)
def test_a_stop_that_was_asked_for_is_no_failure(settings, reason):
    assert error_of(reason, settings) is None
