"""Model hosts as processes: who starts them, who ends them, and what their death costs."""

import os
import signal
import threading
from contextlib import contextmanager, suppress
from dataclasses import replace

import psutil
import pytest

from domain.errors import ModelHostLost, Stopped
from hosting.channel import call
from hosting.client import borrow, describe_hosts
from hosting.folder import open_folder
from hosting.isolation import isolated_host
from hosting.keeper import HostKeeper
from hosting.samples import shared
from hosting.starting import start_host
from tests.integration.embedded.waiting import wait_until
from tests.integration.hosting.conftest import FOUR_WINDOWS, OPTIONS

POISON = replace(OPTIONS, initial_prompt="fake: dies")
STARTS_S = 60.0


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of the hosts that are started in this environment."""
    settings = {
        "DATA_DIR": tmp_path,
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "ADMIN_API_KEY": "a key that nobody will ever use",
        "WHISPER_ENGINE": "fake",
        "WHISPER_MODEL_SIZE": "tiny",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, str(value))
    return open_folder(tmp_path / "run")


@contextmanager
def kept(folder, **bounds):
    """A keeper at work, whose host listens on entry; both are gone on leaving."""
    keeper = HostKeeper(folder, **bounds)
    keeper.start()
    try:
        # Of the keeper's own call, and not of one that the test makes meanwhile.
        wait_until(lambda: keeper._places[0]._channel, timeout_s=STARTS_S)
        yield keeper
    finally:
        keeper.leave()


def pid_of(folder):
    return next((host["pid"] for host in describe_hosts(folder)), None)


def another(folder, pid):
    """The host that follows that of this number, once it listens."""
    return wait_until(
        lambda: (found := pid_of(folder)) and found != pid and found, timeout_s=STARTS_S
    )


def transcribe(folder, options=OPTIONS, **hooks):
    with borrow(folder, "tiny", STARTS_S) as model:
        return model.transcribe(FOUR_WINDOWS, options, **hooks)


def test_a_host_serves_all_children_and_ends_with_the_last_worker(folder):
    with kept(folder), kept(folder) as second:
        first_pid = pid_of(folder)
        second.leave()

        text = transcribe(folder).text

        assert text
        assert pid_of(folder) == first_pid

    wait_until(lambda: folder.holder(0) is None)
    assert folder.places() == []


def test_a_host_that_is_killed_is_started_again_and_its_borrower_hears_of_it(folder):
    with kept(folder):
        pid = pid_of(folder)
        patient = replace(OPTIONS, initial_prompt="fake: hangs")
        threading.Timer(0.5, lambda: os.kill(pid, signal.SIGKILL)).start()

        with pytest.raises(ModelHostLost):
            transcribe(folder, patient)
        text = transcribe(folder).text

        assert text
        assert pid_of(folder) != pid


def test_a_host_that_goes_on_with_work_that_was_to_end_ends_itself(folder, monkeypatch):
    monkeypatch.setattr("hosting.client.STOP_PATIENCE_S", 0.1)
    monkeypatch.setenv("KILL_STUCK_AFTER_S", "1")
    stuck = replace(OPTIONS, initial_prompt="fake: hangs_hard")
    with kept(folder):
        pid = pid_of(folder)
        lost = []

        def hang():
            with pytest.raises((Stopped, ModelHostLost)):
                transcribe(folder, stuck, should_stop=lambda: True)
            lost.append(True)

        thread = threading.Thread(target=hang)
        thread.start()
        successor = another(folder, pid)
        thread.join()

    assert lost
    assert successor


def test_a_host_that_is_frozen_is_killed(folder, monkeypatch):
    monkeypatch.setattr("hosting.client.STATUS_S", 0.3)
    monkeypatch.setattr("hosting.channel.HANDSHAKE_S", 0.3)
    monkeypatch.setattr("hosting.keeper.ASK_EVERY_S", 0.3)
    with kept(folder, deaf_after_s=2.0):
        pid = pid_of(folder)

        os.kill(pid, signal.SIGSTOP)

        assert another(folder, pid)  # which holds the place: so the frozen one is gone


def test_a_second_host_for_a_place_goes_away(folder):
    with kept(folder):
        pid = pid_of(folder)

        with kept(folder):
            pass

        assert pid_of(folder) == pid


def test_a_recording_that_kills_hosts_kills_none_but_its_own_once_it_is_suspect(folder):
    with kept(folder):
        pid = pid_of(folder)
        with (
            pytest.raises(ModelHostLost),
            borrow(folder, "tiny", STARTS_S, is_suspect=True) as model,
        ):
            model.transcribe(FOUR_WINDOWS, POISON)

        text = transcribe(folder).text

        assert text
        assert pid_of(folder) == pid


def test_an_innocent_suspect_is_transcribed_and_its_host_goes(folder):
    with borrow(folder, "tiny", STARTS_S, is_suspect=True) as model:
        text = model.transcribe(FOUR_WINDOWS, OPTIONS).text

    place = f"alone-{os.getpid()}"
    left = [p for p in psutil.process_iter(["cmdline"]) if place in (p.info["cmdline"] or ())]
    assert text
    assert not left
    assert not list(folder.path.glob("alone-*"))


def test_a_lonely_host_that_hangs_ends_itself_when_its_caller_was_killed(folder, monkeypatch):
    monkeypatch.setenv("KILL_STUCK_AFTER_S", "1")
    process = start_host("--alone", "alone-test")
    channel = wait_until(lambda: reached(folder, "alone-test"), timeout_s=STARTS_S)
    wish = {"do": "borrow", "model_size": "tiny", "timeout_s": 5, "allow_downgrade": True}
    channel.say({**wish, "is_urgent": False})
    channel.hear()
    with shared(FOUR_WINDOWS) as descriptor:
        options = replace(OPTIONS, initial_prompt="fake: hangs_hard").to_dict()
        order = {"do": "transcribe", "options": options, "resume": []}
        channel.say({**order, "samples": len(FOUR_WINDOWS)}, descriptor)

    channel.close()

    assert process.wait(STARTS_S) == 1


def reached(folder, place):
    with suppress(ModelHostLost):
        return call(folder, place)


def test_a_suspect_that_waits_for_its_turn_can_be_stopped(folder, monkeypatch):
    monkeypatch.setattr("hosting.isolation.start_host", lambda *_: psutil.Popen(["sleep", "60"]))
    with (
        isolated_host(folder, lambda: False),
        pytest.raises(Stopped),
        isolated_host(folder, lambda: True),
    ):
        pass
